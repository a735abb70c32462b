import { elementCount } from '../../protocol/dtypes';
import type { CustomGradient, RowwiseGradient } from '../autodiff/differentiate';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import { staticShape } from '../ops/gradients';
import { uniformQuantize } from './uniformQuantize';
import type { WeightGroups } from './weightGroups';
import type { WeightRange } from './weightRange';

/** Inputs of noise at the scale of a grid's step. */
export interface PseudoNoise {
  /** Stored shape. */
  readonly weights: Value;
  /** One width per group, in the shape of the layout. */
  readonly bits: Value;
  readonly range: WeightRange;
  readonly groups: WeightGroups;
  /** Noise in the view shape of the layout. */
  readonly noise: Value;
  /** Factor of `noise`: 1 for uniform noise in [-0.5, 0.5), 0.5 for standard normal noise. */
  readonly scale: number;
  /** True if weights are clamped to the range first; clamping counts as the identity in the gradient. */
  readonly clipped: boolean;
  /** Once `now` (a bool scalar) holds, weights are rounded to these widths and this range instead, with a straight-through gradient. */
  readonly settled?: { readonly now: Value; readonly bits: Value; readonly minimum: Value; readonly maximum: Value };
}

/**
 * Weights with noise in place of rounding (DiffQ): w' = w + R / (2^b - 1) e, R = maximum - minimum of the whole tensor. With G =
 * d(target)/dw':
 *
 *   d/dw = G (+ the share of d/dR at the extremes),   d/dR = sum G e / (2^b - 1),   d/db = sum_group G e R (-ln 2 2^b / (2^b - 1)^2)
 *
 * The noise must be new at each step. The region contains these gradients.
 */
export function pseudoQuantizationNoise(
  build: GraphBuilder,
  parts: PseudoNoise,
): { readonly weights: Value; readonly region: CustomGradient } {
  const { weights, bits, range, groups, settled } = parts;
  const { sub, op } = formula(build, 'float32');
  const width = sub(range.maximum, range.minimum);
  // Exp is much cheaper than Pow, and widths are never integers here anyway.
  const levels = op('Exp', op('Mul', bits, Math.LN2));
  const output = settled ? chooseBranch(build, settled.now) : noisy(build);
  /** From sum_group G e: the gradient of the widths, and the sums times d(noise)/d(R e), whose total is the gradient of the range. */
  const ofSums = (backward: GraphBuilder, sums: Value): { readonly bits: Value; readonly weighted: Value } => {
    const { mul, div, add, sub: minus } = formula(backward, 'float32');
    const inverse = div(1, minus(levels, 1));
    const weighted = mul(sums, mul(inverse, parts.scale));
    // -ln 2 2^b / (2^b - 1)^2 is -ln 2 (1 + 1 / (2^b - 1)) / (2^b - 1)
    const slope = mul(add(inverse, 1), -Math.LN2);
    return { bits: whenActive(backward, mul(mul(weighted, slope), width)), weighted };
  };
  const rows = rowwise();
  return {
    weights: output,
    region: {
      output,
      inputs: [weights, bits],
      gradient: (backward, given) => {
        const product = backward.op('Mul', [groups.view(backward, given), parts.noise]);
        const { bits: bitsGradient, weighted } = ofSums(backward, groups.sum(backward, product));
        if (!range.addGradient) return [given, bitsGradient];
        const rangeGradient = backward.op('ReduceSum', [weighted], { keepdims: int(0) });
        return [range.addGradient(backward, given, whenActive(backward, rangeGradient)), bitsGradient];
      },
      ...(rows ? { rows } : {}),
    },
  };

  /** 0 once weights are rounded. */
  function whenActive(backward: GraphBuilder, value: Value): Value {
    if (!settled) return value;
    const arithmetic = formula(backward, 'float32');
    return arithmetic.mul(value, arithmetic.sub(1, arithmetic.cast(settled.now)));
  }

  /** If groups run along columns, sums over groups can be computed from blocks of rows. */
  function rowwise(): RowwiseGradient | undefined {
    if (groups.rows === undefined || (range.addGradient !== undefined && range.gradientRows === undefined)) return undefined;
    const { gradientRows } = range;
    return {
      input: weights,
      multiple: groups.rows,
      beside: [parts.noise],
      reduce: (block, gradient, [noise]) => {
        const [count, ...others] = staticShape(noise as Value);
        const viewed = block.op('Reshape', [gradient, block.int64([count as number, ...others])]);
        return [block.op('ReduceSum', [block.op('Mul', [viewed, noise]), block.int64([1])], { keepdims: int(1) })];
      },
      gradient: (backward, [sums]) => [ofSums(backward, backward.op('Reshape', [sums, backward.int64(groups.shape)])).bits],
      ...(gradientRows
        ? {
            // The noise is R times something independent of R.
            corrections: (backward: GraphBuilder, dot: Value) => {
              const { div, equal, where } = formula(backward, 'float32');
              const divisor = where(equal(width, 0), 1, width);
              return gradientRows(backward, whenActive(backward, div(dot, divisor)));
            },
          }
        : {}),
    };
  }

  function noisy(target: GraphBuilder): Value {
    const { mul, div } = formula(target, 'float32');
    const unit = mul(div(parts.scale, formula(target, 'float32').sub(levels, 1)), width);
    const view = [groups.view(target, weights), parts.noise, groups.spread(target, unit)] as const;
    const blocks = groups.rows === undefined ? undefined : blocksOf(groups);
    return groups.unview(target, blocks === undefined ? addNoise(target, view) : inBlocks(target, blocks, view));
  }

  /** Views of weights, noise and steps, or blocks of them. */
  function addNoise(target: GraphBuilder, [viewed, noise, unit]: readonly [Value, Value, Value]): Value {
    const { add, mul } = formula(target, 'float32');
    const start = parts.clipped ? target.op('Clip', [viewed, range.minimum, range.maximum]) : viewed;
    return add(start, mul(noise, unit));
  }

  /** The same in a Scan over blocks that stay in the cache between operations. */
  function inBlocks(target: GraphBuilder, blocks: number, view: readonly [Value, Value, Value]): Value {
    const body = target.subgraph('noise_blocks');
    const cut = view.map((value) => {
      const [first = 1, ...others] = staticShape(value);
      return target.op('Reshape', [value, target.int64([blocks, first / blocks, ...others])]);
    });
    const inner = cut.map((value) => body.input(`${value.name}/block`, { dtype: 'float32', shape: value.type.shape?.slice(1) }));
    body.output(addNoise(body, inner as [Value, Value, Value] & Value[]));
    return target.op('Scan', cut, { body: { kind: 'graph', value: body.finish() }, num_scan_inputs: int(cut.length) });
  }

  function chooseBranch(target: GraphBuilder, now: Value): Value {
    const { bits: widths, minimum, maximum } = settled as NonNullable<typeof settled>;
    // Before widths are settled they are 0, which only the untaken branch would see.
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

/** Tensors with more entries are processed in blocks of about this many. */
const entriesOfBlock = 2 ** 18;

/** Equal blocks of rows with whole groups; undefined for small tensors. */
function blocksOf({ viewShape }: WeightGroups): number | undefined {
  const most = Math.floor(elementCount(viewShape) / entriesOfBlock);
  const rows = viewShape[0] as number;
  for (let blocks = most; blocks > 3; blocks -= 1) if (rows % blocks === 0) return blocks;
  return undefined;
}
