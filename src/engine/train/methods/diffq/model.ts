import type { WeightGroups } from '../../../kernels/weightGroups';
import type { TrainableParameter } from '../../contract';
import type { DiffqSettings } from './settings';
import type { Steering } from './steering';

/** One tensor whose widths are learned. */
export interface DiffqTensor {
  readonly parameter: TrainableParameter;
  readonly groups: WeightGroups;
}

/** What all parts of DiffQ know about a model. */
export interface DiffqModel {
  readonly settings: DiffqSettings;
  readonly tensors: readonly DiffqTensor[];
  /** Entries of all quantised tensors, and bits of the rest of the model. */
  readonly entries: number;
  readonly restBits: number;
  readonly steering?: Steering;
}

/** Names of a tensor's variables. `widths` is 0 until they are settled. */
export const variableNames = {
  logits: (tensor: string): string => `logits/${tensor}`,
  widths: (tensor: string): string => `widths/${tensor}`,
  range: (tensor: string): string => `range/${tensor}`,
};
