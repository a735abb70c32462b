import type { TrainingEvaluation } from '../../protocol/training';

/** What decides between two evaluations of a method. */
export interface BestRule {
  /** Average bits to reach: states at or under it come before all others. */
  readonly targetBits?: number | undefined;
  /** Weight of the size in the loss, per MiB; states are judged by loss + penalty * size. */
  readonly penalty?: number | undefined;
}

/** An evaluation with the true size of the whole model. */
export interface RatedEvaluation extends Pick<TrainingEvaluation, 'loss'> {
  readonly bitsPerWeight: number;
  readonly sizeMiB: number;
  /** False before the method's last phase: an early state that looks good on little held-out data would skip it. */
  readonly settled: boolean;
}

/**
 * Rank of an evaluation, lowest best. States of the method's last phase come before all others. With a target: at or under it before above it; among those
 * under it the lower held-out loss; among those above it the fewer bits. Without one: the lower held-out loss, size counted with its penalty.
 */
export function rankOf(
  { loss, bitsPerWeight, sizeMiB, settled }: RatedEvaluation,
  { targetBits, penalty = 0 }: BestRule,
): readonly number[] {
  const phase = settled ? 0 : 1;
  if (targetBits === undefined) return [phase, loss + penalty * sizeMiB];
  return bitsPerWeight <= targetBits ? [phase, 0, loss] : [phase, 1, bitsPerWeight];
}

/** True if a rank comes before another: lower at the first number in which they differ. Equal ones do not. */
export function comesBefore(rank: readonly number[], other: readonly number[] | undefined): boolean {
  if (other === undefined) return true;
  const at = rank.findIndex((value, index) => value !== other[index]);
  return at >= 0 && (rank[at] as number) < (other[at] as number);
}
