import type { CompressPlan } from '../../plan';

/** Text or samples of the calibration that the sensitivity was not measured on. */
export interface HeldOut {
  /** How much it is: `2048 held-out tokens`. */
  readonly description: string;
  /** Mean loss in nats a token or sample with the tensors of the plan rounded, the others as they are. One pass. */
  loss(plan: CompressPlan): Promise<number>;
  release(): Promise<void>;
}
