import type { CustomGradient } from '../autodiff/differentiate';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import { uniformQuantize } from './uniformQuantize';
import type { WeightGroups } from './weightGroups';
import type { WeightRange } from './weightRange';

/** What noise of the size of a grid's step needs. */
export interface PseudoNoise {
  /** Held shape. */
  readonly weights: Value;
  /** One width for each group, in the layout's shape. */
  readonly bits: Value;
  readonly range: WeightRange;
  readonly groups: WeightGroups;
  /** Noise in the layout's view shape. */
  readonly noise: Value;
  /** What `noise` is multiplied by: 1 for uniform noise in [-0.5, 0.5), 0.5 for standard normal noise. */
  readonly scale: number;
  /** True where weights are cut to the range first; the cut counts as the identity for the gradient. */
  readonly clipped: boolean;
  /** From the moment that `now` (a bool scalar) holds, weights are rounded to these widths and this range instead, with a straight-through gradient. */
  readonly settled?: { readonly now: Value; readonly bits: Value; readonly minimum: Value; readonly maximum: Value };
}

/**
 * Weights with noise in place of rounding (DiffQ): w' = w + R / (2^b - 1) e, R = maximum - minimum of the whole tensor. With G = d(target)/dw':
 *
 *   d/dw = G (+ the share of d/dR at the extremes),   d/dR = sum G e / (2^b - 1),   d/db = sum_group G e R (-ln 2 2^b / (2^b - 1)^2)
 *
 * The noise must be fresh at each step. The region holds these gradients.
 */
export function pseudoQuantizationNoise(
  build: GraphBuilder,
  parts: PseudoNoise,
): { readonly weights: Value; readonly region: CustomGradient } {
  const { weights, bits, range, groups, settled } = parts;
  const { sub, op } = formula(build, 'float32');
  const width = sub(range.maximum, range.minimum);
  const levels = op('Pow', 2, bits);
  const output = settled ? chooseBranch(build, settled.now) : noisy(build);
  return {
    weights: output,
    region: {
      output,
      inputs: [weights, bits],
      gradient: (backward, given) => {
        const arithmetic = formula(backward, 'float32');
        const { mul, div } = arithmetic;
        const viewed = groups.view(backward, given);
        const sums = groups.sum(backward, mul(viewed, parts.noise));
        const unit = div(parts.scale, arithmetic.sub(levels, 1));
        const weighted = mul(sums, unit);
        const active = settled ? arithmetic.sub(1, arithmetic.cast(settled.now)) : undefined;
        const whenActive = (value: Value): Value => (active ? mul(value, active) : value);
        // -ln 2 2^b / (2^b - 1)^2 is -ln 2 (1 + 1 / (2^b - 1)) / (2^b - 1)
        const slope = mul(arithmetic.add(div(1, arithmetic.sub(levels, 1)), 1), -Math.LN2);
        const bitsGradient = whenActive(mul(mul(weighted, slope), width));
        if (!range.addGradient) return [given, bitsGradient];
        const rangeGradient = backward.op('ReduceSum', [weighted], { keepdims: int(0) });
        return [range.addGradient(backward, given, whenActive(rangeGradient)), bitsGradient];
      },
    },
  };

  function noisy(target: GraphBuilder): Value {
    const { add, mul, div } = formula(target, 'float32');
    const size = groups.spread(target, mul(div(parts.scale, formula(target, 'float32').sub(levels, 1)), width));
    const viewed = groups.view(target, weights);
    const start = parts.clipped ? target.op('Clip', [viewed, range.minimum, range.maximum]) : viewed;
    return groups.unview(target, add(start, mul(parts.noise, size)));
  }

  function chooseBranch(target: GraphBuilder, now: Value): Value {
    const { bits: widths, minimum, maximum } = settled as NonNullable<typeof settled>;
    // Before widths are settled they are 0, which only the branch that is not taken would see.
    const settledBranch = target.subgraph('settled');
    settledBranch.output(uniformQuantize(settledBranch, weights, widths, { minimum, maximum }, groups));
    const noisyBranch = target.subgraph('noisy');
    noisyBranch.output(noisy(noisyBranch));
    return target.op('If', [now], {
      then_branch: { kind: 'graph', value: settledBranch.finish() },
      else_branch: { kind: 'graph', value: noisyBranch.finish() },
    });
  }
}
