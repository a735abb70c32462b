import type { Evaluation } from './evaluation';

/** What decides between two evaluations. */
export interface BestRule {
  /** Average bits to reach: states at or under it come before all others. */
  readonly targetBits?: number;
  /** Weight of the size in the loss, per MiB; states are judged by loss + penalty * size. */
  readonly penalty?: number;
}

/**
 * True where `candidate` is better than `best`. States of the method's last phase come before all others. With a target: at or under it before above it;
 * among those under it the lower held-out loss; among those above it the fewer bits. Without one: the lower held-out loss, size counted with its penalty. An
 * equal one does not replace the earlier.
 */
export function isBetter(candidate: RatedEvaluation, best: RatedEvaluation | undefined, { targetBits, penalty = 0 }: BestRule): boolean {
  if (best === undefined) return true;
  if (candidate.settled !== best.settled) return candidate.settled;
  if (targetBits === undefined) return candidate.loss + penalty * candidate.sizeMiB < best.loss + penalty * best.sizeMiB;
  const reached = candidate.bitsPerWeight <= targetBits;
  if (reached !== best.bitsPerWeight <= targetBits) return reached;
  return reached ? candidate.loss < best.loss : candidate.bitsPerWeight < best.bitsPerWeight;
}

/** An evaluation with the true size of the whole model. */
export type RatedEvaluation = Pick<Evaluation, 'loss' | 'bitsPerWeight'> & {
  readonly sizeMiB: number;
  /** False before the method's last phase: an early state that looks good on little held-out data would skip it. */
  readonly settled: boolean;
};
