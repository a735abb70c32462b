import type { Optimizer } from './optimizer';

/** Settings of Adam; defaults are PyTorch's. */
export interface AdamSettings {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** `adam`: added to the gradient; `adamw`: the weight itself shrinks, apart from the gradient. */
  readonly weightDecay?: number;
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
    update: (build, { value, gradient, slots: { moment1, moment2 }, scalars: { minusRate, epsilon: small, shrink } }) => {
      const decays = id === 'adam' && weightDecay !== 0;
      const g = decays ? build.op('Add', [gradient, build.op('Mul', [value, build.float32(weightDecay)])]) : gradient;
      const m = build.op('Add', [build.op('Mul', [moment1, build.float32(beta1)]), g]);
      const v = build.op('Add', [build.op('Mul', [moment2, build.float32(beta2)]), build.op('Mul', [g, g])]);
      const direction = build.op('Div', [m, build.op('Add', [build.op('Sqrt', [v]), small])]);
      const kept = shrinks ? build.op('Mul', [value, shrink]) : value;
      return { value: build.op('Add', [kept, build.op('Mul', [direction, minusRate])]), slots: { moment1: m, moment2: v } };
    },
  };
}
