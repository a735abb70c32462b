import type { Value } from '../../graph/graph';
import { multiplyThenAdd, type Optimizer } from './optimizer';

/** Settings of Adam; defaults are PyTorch's. */
export interface AdamSettings {
  readonly beta1?: number | undefined;
  readonly beta2?: number | undefined;
  readonly epsilon?: number | undefined;
  /** `adam`: added to the gradient; `adamw`: the weight itself shrinks, apart from the gradient. */
  readonly weightDecay?: number | undefined;
}

/**
 * Adam (Kingma, Ba 2015) and AdamW (Loshchilov, Hutter 2019) with constants folded into two scalars per step t (1 first):
 *
 *   m = b1 m + g,   v = b2 v + g^2,   p = D p - A m / (sqrt(v) + E)
 *   A = rate sqrt(1 - b2^t) (1 - b1) / ((1 - b1^t) sqrt(1 - b2)),   E = epsilon sqrt(1 - b2^t) / sqrt(1 - b2),   D = 1 - rate * decay
 *
 * m and v are the textbook's without their factors 1 - b1 and 1 - b2. Adam proper has D = 1 and g + decay * p in place of g.
 */
export function adam(id: 'adam' | 'adamw', settings: AdamSettings = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = settings;
  const shrinks = id === 'adamw' && weightDecay !== 0;
  return {
    id,
    slots: ['moment1', 'moment2'],
    scalarNames: ['minusRate', 'epsilon', ...(shrinks ? ['shrink'] : [])],
    scalars: (step, rate) => {
      const t = step + 1;
      const second = Math.sqrt(1 - beta2 ** t) / Math.sqrt(1 - beta2);
      return {
        minusRate: (-rate * second * (1 - beta1)) / (1 - beta1 ** t),
        epsilon: epsilon * second,
        ...(shrinks ? { shrink: 1 - rate * weightDecay } : {}),
      };
    },
    update: (
      build,
      { value, gradient, slots: { moment1, moment2 }, scalars: { minusRate, epsilon: small, shrink } },
      multiplyAdd = multiplyThenAdd,
    ) => {
      const decays = id === 'adam' && weightDecay !== 0;
      const g = decays ? multiplyAdd(build, gradient, value, weightDecay) : gradient;
      const m = multiplyAdd(build, g, moment1 as Value, beta1);
      const v = multiplyAdd(build, build.op('Mul', [g, g]), moment2 as Value, beta2);
      const direction = build.op('Div', [m, build.op('Add', [build.op('Sqrt', [v]), small])]);
      const kept = shrinks ? build.op('Mul', [value, shrink]) : value;
      return { value: multiplyAdd(build, kept, direction, minusRate as Value), slots: { moment1: m, moment2: v } };
    },
  };
}
