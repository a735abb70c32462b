import type { TrainSpec } from '../../../protocol/training';

/** How the learning rate runs over a job. */
export interface Schedule {
  readonly kind: TrainSpec['schedule'];
  /** Steps of the whole job. */
  readonly steps: number;
  /** First steps, over which the rate rises in a straight line. */
  readonly warmup?: number | undefined;
  /** `step`: number of equal stretches, and the factor from one to the next. */
  readonly stretches?: number;
  readonly factor?: number;
}

/**
 * Factor on the learning rate at step t (0 first), in float64:
 *
 *   warm-up   (t + 1) / warmup for t < warmup
 *   constant  1
 *   step      factor^floor(stretches x),   x = (t - warmup) / (steps - warmup); by default a tenth after each third
 *   cosine    (1 + cos(pi x)) / 2
 */
export function rateFactor({ kind, steps, warmup = 0, stretches = 3, factor = 0.1 }: Schedule, step: number): number {
  if (step < warmup) return (step + 1) / warmup;
  const share = (step - warmup) / Math.max(1, steps - warmup);
  switch (kind) {
    case 'constant':
      return 1;
    case 'step':
      // Steps are whole numbers: dividing them first keeps a border that is one exactly there.
      return factor ** Math.floor((stretches * (step - warmup)) / Math.max(1, steps - warmup));
    case 'cosine':
      return (1 + Math.cos(Math.PI * share)) / 2;
  }
}
