import type { GraphBuilder } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { castTo, filled, reshaped, staticShape, transposed } from './gradients';
import { constantInts, intAttribute, normalizeAxis } from './inference';
import { runsOf, untaken } from './placement';

/** Gradients of operators that pick or put values by index: the gradient is put where the value was picked, and picked where it was put. */

/** Gathers of known places in at most this many runs are undone by slices and pads; others by adding rows to a table of zeros. */
const mostRuns = 3;

/**
 * Gather. Known indices in few runs (one place, a stretch, a reversal): slices and pads. Others: ScatterND adds the rows of the gradient to
 * zeros, which measures twice as fast as ScatterElements; an axis other than the first is moved to the front for it.
 */
export const gatherGradient: GradientRule = (context) => {
  const { build, node } = context;
  const [data, indices] = context.inputs;
  const [dy] = context.outputGradients;
  if (!data || !indices || !dy) return [];
  const shape = staticShape(data);
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape.length);
  const length = shape[axis] as number;
  const places = constantInts(context, 1)?.map((place) => (place < 0 ? place + length : place));
  const indexShape = staticShape(indices);
  const inner = shape.slice(axis + 1);
  if (places !== undefined && places.length > 0 && runsOf(places).length <= mostRuns)
    return [untaken(build, reshaped(build, dy, [...shape.slice(0, axis), places.length, ...inner]), axis, places, length)];
  const count = indexShape.reduce((product, each) => product * each, 1);
  const order = frontOrder(shape.length, axis);
  const rows = transposed(build, reshaped(build, dy, [...shape.slice(0, axis), count, ...inner]), order);
  const table = order.map((from) => shape[from] as number);
  const sum = addRows(build, table, reshaped(build, indices, [count, 1]), rows);
  return [transposed(build, sum, inverseOf(order))];
};

/** Zeros of the given shape with slices added at index tuples. */
function addRows(build: GraphBuilder, shape: readonly number[], indices: Value, rows: Value): Value {
  const table = filled(build, 0, shape, rows.type.dtype);
  return build.op('ScatterND', [table, castTo(build, indices, 'int64'), rows], { reduction: 'add' });
}

/** The order of axes that puts one of them first. */
function frontOrder(rank: number, axis: number): readonly number[] {
  return [axis, ...Array.from({ length: rank }, (_, index) => index).filter((index) => index !== axis)];
}

const inverseOf = (order: readonly number[]): readonly number[] => order.map((_, axis) => order.indexOf(axis));
