import type { Value } from '../../graph/graph';
import { multiplyThenAdd, type Optimizer, type UpdateOutputs } from './optimizer';

/** Settings of stochastic gradient descent. */
export interface SgdSettings {
  readonly momentum?: number | undefined;
  /** Looks one step ahead along the momentum. */
  readonly nesterov?: boolean | undefined;
  /** Added to the gradient, times the weight. */
  readonly weightDecay?: number | undefined;
}

/**
 * Stochastic gradient descent as PyTorch has it (no dampening):
 *
 *   g = g + decay p,   u = momentum u + g,   p = p - rate u        (Nesterov: p - rate (g + momentum u))
 */
export function sgd({ momentum = 0, nesterov = false, weightDecay = 0 }: SgdSettings = {}): Optimizer {
  return {
    id: 'sgd',
    slots: momentum === 0 ? [] : ['momentum'],
    scalarNames: ['minusRate'],
    scalars: (_step, rate) => ({ minusRate: -rate }),
    update: (
      build,
      { value, gradient, slots: { momentum: before }, scalars: { minusRate } },
      multiplyAdd = multiplyThenAdd,
    ): UpdateOutputs => {
      const g = weightDecay === 0 ? gradient : multiplyAdd(build, gradient, value, weightDecay);
      if (momentum === 0) return { value: multiplyAdd(build, value, g, minusRate as Value), slots: {} };
      const u = multiplyAdd(build, g, before as Value, momentum);
      const direction = nesterov ? multiplyAdd(build, g, u, momentum) : u;
      return { value: multiplyAdd(build, value, direction, minusRate as Value), slots: { momentum: u } };
    },
  };
}
