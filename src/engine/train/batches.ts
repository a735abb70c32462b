import type { RuntimeTensor } from '../runtime/types';

/** One input of a batch, `label` among them: the samples are the first axis. */
export interface BatchInput {
  readonly name: string;
  readonly dtype: 'float32' | 'int64' | 'int32' | 'bool' | 'uint8';
  readonly shape: readonly number[];
}

/** Batches: a pure function of (seed, step). */
export interface BatchSource {
  readonly description: string;
  /** Samples in one pass over the data. */
  readonly samples: number;
  /** Inputs and, under `label`, targets: shapes with `batch` first. */
  batch(step: number, batch: number): Readonly<Record<string, RuntimeTensor>>;
}
