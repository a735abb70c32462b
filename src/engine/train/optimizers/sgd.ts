import type { Optimizer, UpdateOutputs } from './optimizer';

/** Settings of stochastic gradient descent. */
export interface SgdSettings {
  readonly momentum?: number;
  /** Looks one step ahead along the momentum. */
  readonly nesterov?: boolean;
  /** Added to the gradient, times the weight. */
  readonly weightDecay?: number;
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
    update: (build, { value, gradient, slots: { momentum: before }, scalars: { minusRate } }): UpdateOutputs => {
      const g = weightDecay === 0 ? gradient : build.op('Add', [gradient, build.op('Mul', [value, build.float32(weightDecay)])]);
      if (momentum === 0) return { value: build.op('Add', [value, build.op('Mul', [g, minusRate])]), slots: {} };
      const factor = build.float32(momentum);
      const u = build.op('Add', [build.op('Mul', [before, factor]), g]);
      const direction = nesterov ? build.op('Add', [g, build.op('Mul', [u, factor])]) : u;
      return { value: build.op('Add', [value, build.op('Mul', [direction, minusRate])]), slots: { momentum: u } };
    },
  };
}
