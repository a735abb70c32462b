import type { PlannedStore } from '../../../outputs/planned/plannedStore';

/** Text or samples of the calibration that the sensitivity was not measured on. */
export interface HeldOut {
  /** How much it is: `2048 held-out tokens`. */
  readonly description: string;
  /** Mean loss in nats per token or sample with the planned tensors in place of the model's; undefined: of the float model. One pass. */
  loss(planned: PlannedStore | undefined): Promise<number>;
  release(): Promise<void>;
}
