import type { RuntimeTensor } from '../../runtime/types';
import type { BatchSource } from '../batches';
import type { LossKind } from '../loss';

/** Data that no step trains on, in a fixed order. */
export interface HeldOutData {
  readonly description: string;
  readonly samples: number;
  /** Inputs and `label` of `count` samples from `first` on. */
  slice(first: number, count: number): Readonly<Record<string, RuntimeTensor>>;
}

/** Everything that a training reads. */
export interface TrainingData {
  readonly kind: 'labels' | 'text';
  readonly loss: LossKind;
  readonly train: BatchSource;
  readonly evaluation: HeldOutData;
  /** What a reader of the report should know: which split, how long the windows, what was held out. */
  readonly choices: readonly string[];
}
