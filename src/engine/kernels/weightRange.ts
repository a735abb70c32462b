import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import { staticShape } from '../ops/gradients';
import { elementCount } from '../../protocol/dtypes';

/** The ends of the grid for a whole tensor: float32 scalars. */
export interface WeightRange {
  readonly minimum: Value;
  readonly maximum: Value;
  /**
   * Adds the share of d(target)/d(maximum - minimum) that belongs to the extreme entries to `gradient` (of the weights, stored shape); tied
   * entries share it evenly. Absent if the ends count as constants.
   */
  addGradient?(build: GraphBuilder, gradient: Value, rangeGradient: Value): Value;
  /** What `addGradient` would add, as whole rows: their indices [T] int64 and values [T, columns]. For matrices only. */
  gradientRows?(build: GraphBuilder, rangeGradient: Value): readonly { readonly rows: Value; readonly values: Value }[];
}

/** Smallest and largest entry of a tensor. The extremes are found row by row, so that the gradient only touches rows that contain one. */
export function extremesOf(build: GraphBuilder, weights: Value): WeightRange {
  const shape = staticShape(weights);
  const rows = shape.length > 1 ? (shape[0] as number) : 1;
  const matrixShape = [rows, Math.max(1, elementCount(shape) / Math.max(1, rows))];
  const asMatrix = (target: GraphBuilder, value: Value): Value =>
    shape.length === 2 ? value : target.op('Reshape', [value, target.int64(matrixShape)]);
  const matrix = asMatrix(build, weights);
  const side = (name: 'ReduceMin' | 'ReduceMax'): Extreme => {
    const perRow = build.op(name, [matrix, build.int64([1])], { keepdims: int(0) });
    return { perRow, whole: build.op(name, [perRow], { keepdims: int(0) }) };
  };
  const lowest = side('ReduceMin');
  const highest = side('ReduceMax');
  return {
    minimum: lowest.whole,
    maximum: highest.whole,
    addGradient: (backward, gradient, rangeGradient) => {
      const start = asMatrix(backward, gradient);
      const withMaximum = addAtExtreme(backward, start, matrix, highest, rangeGradient);
      const withBoth = addAtExtreme(backward, withMaximum, matrix, lowest, backward.op('Neg', [rangeGradient]));
      return shape.length === 2 ? withBoth : backward.op('Reshape', [withBoth, backward.int64(shape)]);
    },
    ...(shape.length === 2
      ? {
          gradientRows: (backward: GraphBuilder, rangeGradient: Value) =>
            [
              sharesAtExtreme(backward, matrix, highest, rangeGradient),
              sharesAtExtreme(backward, matrix, lowest, backward.op('Neg', [rangeGradient])),
            ].map(({ rows, values }) => ({ rows: backward.op('Squeeze', [rows, backward.int64([1])]), values })),
        }
      : {}),
  };
}

function addAtExtreme(build: GraphBuilder, gradient: Value, matrix: Value, side: Extreme, amount: Value): Value {
  const { rows, values } = sharesAtExtreme(build, matrix, side, amount);
  return build.op('ScatterND', [gradient, rows, values], { reduction: 'add' });
}

/** The extreme of each row and of the whole tensor. */
interface Extreme {
  readonly perRow: Value;
  readonly whole: Value;
}

/** `amount`, shared evenly by all extreme entries: the rows that contain one [T, 1] and the shares of their entries [T, columns]. */
function sharesAtExtreme(
  build: GraphBuilder,
  matrix: Value,
  { perRow, whole }: Extreme,
  amount: Value,
): { readonly rows: Value; readonly values: Value } {
  const { div, mul, equal, cast } = formula(build, 'float32');
  const rows = build.op('Transpose', [build.op('NonZero', [equal(perRow, whole)])]);
  const hits = cast(equal(build.op('GatherND', [matrix, rows]), whole));
  const share = div(amount, build.op('ReduceSum', [hits], { keepdims: int(0) }));
  return { rows, values: mul(hits, share) };
}

/**
 * Mean plus and minus `deviations` standard deviations of a tensor, but never outside its range. The ends count as constants: no gradient
 * passes through them.
 */
export function clippedRange(build: GraphBuilder, weights: Value, deviations: number): WeightRange {
  const { add, sub, mul, op } = formula(build, 'float32');
  const whole = (name: string, value: Value): Value => build.op(name, [value], { keepdims: int(0) });
  const mean = whole('ReduceMean', weights);
  const squares = mul(whole('ReduceSumSquare', weights), 1 / Math.max(1, elementCount(staticShape(weights))));
  const reach = mul(op('Sqrt', op('Relu', sub(squares, mul(mean, mean)))), deviations);
  return {
    minimum: op('Max', whole('ReduceMin', weights), sub(mean, reach)),
    maximum: op('Min', whole('ReduceMax', weights), add(mean, reach)),
  };
}
