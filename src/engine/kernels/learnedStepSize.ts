import type { CustomGradient } from '../autodiff/differentiate';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import { staticShape } from '../ops/gradients';
import { elementCount } from '../../protocol/dtypes';

/** Smallest step: training a step to 0 or below would invert the grid. */
export const smallestStep = 1e-12;

/** Levels of LSQ: -2^(b-1) to 2^(b-1) - 1. */
export const signedLevels = (bits: number): { readonly low: number; readonly high: number } => ({
  low: -(2 ** (bits - 1)),
  high: 2 ** (bits - 1) - 1,
});

/**
 * Weights on a grid with a learned step s (LSQ): index = round(clamp(w / s, low, high)), w' = s index, half to even. With v = w / s and G =
 * d(target)/dw':
 *
 *   d/dw = G where low <= v <= high, else 0,   d/ds = sum G (index - v inside, index outside) / sqrt(entries max(high, 1))
 *
 * `step`: float32 [1].
 */
export function learnedStepSize(
  build: GraphBuilder,
  weights: Value,
  step: Value,
  bits: number,
): { readonly weights: Value; readonly region: CustomGradient } {
  const { low, high } = signedLevels(bits);
  const { div, mul, op } = formula(build, 'float32');
  const positive = op('Max', step, smallestStep);
  const scaled = div(weights, positive);
  const inside = build.op('Clip', [scaled, build.float32(low), build.float32(high)]);
  const index = op('Round', inside);
  const output = mul(index, positive);
  return {
    weights: output,
    region: {
      output,
      inputs: [weights, step],
      gradient: (backward, given) => {
        const arithmetic = formula(backward, 'float32');
        const kept = arithmetic.equal(inside, scaled);
        const difference = arithmetic.sub(index, arithmetic.where(kept, scaled, 0));
        const sum = backward.op('ReduceSum', [arithmetic.mul(given, difference)], { keepdims: int(0) });
        const entries = elementCount(staticShape(weights));
        const scale = 1 / Math.sqrt(entries * Math.max(1, high));
        return [arithmetic.where(kept, given, 0), backward.op('Reshape', [arithmetic.mul(sum, scale), backward.int64(staticShape(step))])];
      },
    },
  };
}
