import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { filled, floatTensor, reshaped, staticShape } from './gradients';
import { constantInts, intAttribute, invalid, normalizeAxis, stringAttribute } from './inference';
import { runsOf, untaken } from './placement';

/**
 * Gradients of operators that pick or write values by index: the gradient is scattered to where a value was picked, and gathered from where
 * one was written.
 */

/** The gradient of gathering known positions in at most this many runs uses slices and pads; otherwise it is added to zeros. */
const mostRuns = 3;

/**
 * Gather. Known indices in few runs (one position, a range, a reversal): slices and pads. Others: ScatterElements adds the gradient to
 * zeros. ScatterND is faster there, but its threads occasionally lose terms if indices repeat (seen with ONNX Runtime 1.31).
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
  const count = elements(staticShape(indices));
  if (places !== undefined && count > 0 && runsOf(places).length <= mostRuns)
    return [untaken(build, reshaped(build, dy, [...shape.slice(0, axis), count, ...shape.slice(axis + 1)]), axis, places, length)];
  const outer = elements(shape.slice(0, axis));
  const inner = elements(shape.slice(axis + 1));
  const wide = build.op('Expand', [reshaped(build, indices, [1, count, 1]), build.int64([outer, count, inner])]);
  return [reshaped(build, addAlong(build, [outer, length, inner], wide, reshaped(build, dy, [outer, count, inner]), 1), shape)];
};

const elements = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** Zeros of the given shape with values added at indices along an axis. */
function addAlong(build: GraphBuilder, shape: readonly number[], indices: Value, values: Value, axis: number): Value {
  return build.op('ScatterElements', [filled(build, 0, shape, values.type.dtype), indices, values], { axis: int(axis), reduction: 'add' });
}

/** Zeros of the given shape with slices added at index tuples [..., depth], which may repeat. */
function addSlices(build: GraphBuilder, shape: readonly number[], tuples: Value, slices: Value): Value {
  const places = staticShape(tuples);
  const depth = places.at(-1) as number;
  const lengths = shape.slice(0, depth);
  const strides = lengths.map((_, axis) => elements(lengths.slice(axis + 1)));
  const count = elements(places.slice(0, -1));
  const inner = elements(shape.slice(depth));
  // Converts positions counted from the end to positions from the start: the remainder has the sign of the length.
  const fromFront = build.op('Mod', [tuples, build.int64(lengths)]);
  const rows = build.op('ReduceSum', [build.op('Mul', [fromFront, build.int64(strides)]), build.int64([-1])], { keepdims: int(0) });
  const wide = build.op('Expand', [reshaped(build, rows, [count, 1]), build.int64([count, inner])]);
  return reshaped(build, addAlong(build, [elements(lengths), inner], wide, reshaped(build, slices, [count, inner]), 0), shape);
}

/** Each picked value's gradient is added where it was picked. */
export const gatherElementsGradient: GradientRule = ({ build, node, inputs: [data, indices], outputGradients: [dy] }) => {
  if (!data || !indices || !dy) return [];
  return [addAlong(build, staticShape(data), indices, dy, intAttribute(node, 'axis', 0))];
};

/** Slices by index tuples; batch axes become extra coordinates, because ScatterND has no batch axes. */
export const gatherNdGradient: GradientRule = ({ build, node, inputs: [data, indices], outputGradients: [dy] }) => {
  if (!data || !indices || !dy) return [];
  const batch = staticShape(data).slice(0, intAttribute(node, 'batch_dims', 0));
  const shape = staticShape(indices);
  const coordinates = batch.map((length, axis) => {
    const places = build.int64(
      Array.from({ length }, (_, place) => place),
      shape.map((_, index) => (index === axis ? length : 1)),
    );
    return build.op('Expand', [places, build.int64([...shape.slice(0, -1), 1])]);
  });
  const full = coordinates.length === 0 ? indices : build.op('Concat', [...coordinates, indices], { axis: int(-1) });
  return [addSlices(build, staticShape(data), full, dy)];
};

/** How a scatter treats existing values: replaced or added to. Errors: `invalid-argument` for products and extremes. */
function replaces({ node }: GradientContext): boolean {
  const reduction = stringAttribute(node, 'reduction', 'none');
  if (reduction !== 'none' && reduction !== 'add')
    throw invalid(`reduction '${reduction}' has no gradient rule; only 'none' and 'add' have one`);
  return reduction === 'none';
}

/**
 * Replaced values have no gradient; the gradient of the updates is gathered from where they were written. Indices may not repeat if values
 * are replaced.
 */
export const scatterElementsGradient: GradientRule = (context) => {
  const { build, node, needs } = context;
  const [, indices, updates] = context.inputs;
  const [dy] = context.outputGradients;
  if (!indices || !updates || !dy) return [];
  const axis = int(intAttribute(node, 'axis', 0));
  const replaced = replaces(context);
  const kept = (): Value =>
    replaced ? build.op('ScatterElements', [dy, indices, filled(build, 0, staticShape(updates), dy.type.dtype)], { axis }) : dy;
  return [needs(0) ? kept() : undefined, undefined, needs(2) ? build.op('GatherElements', [dy, indices], { axis }) : undefined];
};

/** Like ScatterElements, with slices. */
export const scatterNdGradient: GradientRule = (context) => {
  const { build, needs } = context;
  const [, indices, updates] = context.inputs;
  const [dy] = context.outputGradients;
  if (!indices || !updates || !dy) return [];
  const replaced = replaces(context);
  const kept = (): Value => (replaced ? build.op('ScatterND', [dy, indices, filled(build, 0, staticShape(updates), dy.type.dtype)]) : dy);
  return [needs(0) ? kept() : undefined, undefined, needs(2) ? build.op('GatherND', [dy, indices]) : undefined];
};

/**
 * The gradient of the update is gathered from where it was written: along the axis from the position of each batch row, modulo the length
 * for a ring cache.
 */
export const tensorScatterGradient: GradientRule = ({ build, node, inputs: [cache, update, starts], outputGradients: [dy], needs }) => {
  if (!cache || !update || !dy) return [];
  const shape = staticShape(update);
  const axis = normalizeAxis(intAttribute(node, 'axis', -2), shape.length);
  const along = (value: Value, at: number, length: number): Value =>
    reshaped(
      build,
      value,
      shape.map((_, index) => (index === at ? length : 1)),
    );
  const steps = along(build.int64(Array.from({ length: shape[axis] as number }, (_, step) => step)), axis, shape[axis] as number);
  const first = starts ? along(starts, 0, shape[0] as number) : undefined;
  const places = first ? build.op('Add', [first, steps]) : steps;
  const length = build.int64(staticShape(cache)[axis] as number);
  const inRing = stringAttribute(node, 'mode', 'linear') === 'circular' ? build.op('Mod', [places, length]) : places;
  const zeros = (): Value => filled(build, 0, shape, dy.type.dtype);
  return [
    needs(0) ? build.op('TensorScatter', [dy, zeros(), starts], node.attributes) : undefined,
    needs(1) ? build.op('GatherElements', [dy, build.op('Expand', [inRing, build.int64(shape)])], { axis: int(axis) }) : undefined,
  ];
};

/** The gradients of the values are sums over the positions at which each value appears. */
export const oneHotGradient: GradientRule = ({ build, node, inputs: [indices, depth, values], outputGradients: [dy], needs }) => {
  if (!indices || !depth || !values || !dy || !needs(2)) return [];
  const hot = build.op('OneHot', [indices, depth, floatTensor(build, [0, 1], [2], dy.type.dtype)], node.attributes);
  const sum = (value: Value): Value => reshaped(build, build.op('ReduceSum', [value], { keepdims: int(0) }), [1]);
  const on = sum(build.op('Mul', [dy, hot]));
  return [undefined, undefined, build.op('Concat', [build.op('Sub', [sum(dy), on]), on], { axis: int(0) })];
};

/** Kept slices return to their positions, which a known condition determines. */
export const compressGradient: GradientRule = (context) => {
  const { build, node } = context;
  const [x] = context.inputs;
  const [dy] = context.outputGradients;
  if (!x || !dy) return [];
  const kept = constantInts(context, 1)?.flatMap((keep, place) => (keep === 0 ? [] : [place]));
  if (kept === undefined) throw invalid('its condition, and so the number of values kept, is computed at run time');
  const shape = staticShape(x);
  const flat = node.attributes['axis'] === undefined;
  const axis = flat ? 0 : normalizeAxis(intAttribute(node, 'axis', 0), shape.length);
  const length = flat ? elements(shape) : (shape[axis] as number);
  const outer = flat ? 1 : elements(shape.slice(0, axis));
  const inner = flat ? 1 : elements(shape.slice(axis + 1));
  const places = build.op('Expand', [build.int64(kept, [1, kept.length, 1]), build.int64([outer, kept.length, inner])]);
  return [reshaped(build, addAlong(build, [outer, length, inner], places, reshaped(build, dy, [outer, kept.length, inner]), 1), shape)];
};
