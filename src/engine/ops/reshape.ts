import { int } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { InferContext } from '../graph/operator';
import { broadcastShapes, divideProducts, formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { reshaped, staticShape, sumToShapeOf, transposed } from './gradients';
import {
  axesOf,
  constantInts,
  intAttribute,
  intsAttribute,
  invalid,
  normalizeAxis,
  unknownLength,
  unknownShape,
  type Shape,
} from './inference';

/** Operators that keep all values and change their shape or order, or repeat them. */

/** Gradient of operators that only change the shape of the same elements. */
const backToShape: GradientRule = ({ build, inputs: [x], outputGradients: [dy] }) => [x && dy && reshaped(build, dy, staticShape(x))];

/** Rank of the result for a shape input of known length. */
function rankFromVector(type: TensorType | undefined): number | undefined {
  const length = type?.shape?.[0];
  return typeof length === 'number' ? length : undefined;
}

/**
 * 0 copies the length of the same axis (unless `allowzero`), -1 takes the remainder. Named lengths cancel: reshaping [batch, sequence, 8,
 * 32] to [0, 0, -1] gives [batch, sequence, 256].
 */
const reshape = defineOp({
  name: 'Reshape',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, target], context) => {
    const wanted = intsAttribute(context, 'shape') ?? constantInts(context, 1);
    if (wanted === undefined) {
      const rank = rankFromVector(target);
      return [{ dtype: x.dtype, shape: rank === undefined ? undefined : unknownShape(context, rank) }];
    }
    return [{ dtype: x.dtype, shape: shapeAfter(x.shape, wanted, context) }];
  },
  gradient: backToShape,
});

function shapeAfter(source: Shape, wanted: readonly number[], context: InferContext): Shape {
  const allowZero = intAttribute(context, 'allowzero', 0) !== 0;
  const holes = wanted.filter((length) => length === -1).length;
  if (holes > 1 || wanted.some((length) => length < -1))
    throw invalid(`Reshape needs lengths of at least 0 and at most one -1, got ${formatShape(wanted)}.`);
  const lengths = wanted.map((length, axis): Dimension => {
    if (length !== 0 || allowZero) return length;
    if (source === undefined) return unknownLength(context, axis);
    const copied = source[axis];
    if (copied === undefined)
      throw invalid(`Reshape to ${formatShape(wanted)} copies axis ${axis}, which ${formatShape(source)} does not have.`);
    return copied;
  });
  if (source === undefined) return lengths.map((length, axis) => (length === -1 ? unknownLength(context, axis) : length));
  const known = lengths.filter((length) => length !== -1);
  const rest = divideProducts(source, known);
  if (rest === undefined || (holes === 0 && typeof rest === 'number' && rest !== 1 && !source.includes(0)))
    throw invalid(`Cannot reshape ${formatShape(source)} to ${formatShape(wanted)}: the number of elements differs.`);
  return lengths.map((length) => (length === -1 ? rest : length));
}

const transpose = defineOp({
  name: 'Transpose',
  inputs: 1,
  infer: ([x], context) => {
    const order = intsAttribute(context, 'perm');
    if (x.shape === undefined) return [{ dtype: x.dtype, shape: order ? unknownShape(context, order.length) : undefined }];
    const shape = x.shape;
    if (order === undefined) return [{ dtype: x.dtype, shape: [...shape].reverse() }];
    if (order.length !== shape.length || new Set(order).size !== order.length)
      throw invalid(`Transpose needs each axis exactly once, got perm [${order.join(', ')}] for shape ${formatShape(shape)}.`);
    return [{ dtype: x.dtype, shape: order.map((axis) => shape[normalizeAxis(axis, shape.length)] as Dimension) }];
  },
  gradient: ({ build, node, inputs: [x], outputGradients: [dy] }) => {
    if (!x || !dy) return [];
    const axes = staticShape(x).map((_, axis) => axis);
    const order = intsAttribute(node, 'perm')?.map((axis) => normalizeAxis(axis, axes.length)) ?? [...axes].reverse();
    return [
      transposed(
        build,
        dy,
        axes.map((axis) => order.indexOf(axis)),
      ),
    ];
  },
});

const flatten = defineOp({
  name: 'Flatten',
  inputs: 1,
  infer: ([x], context) => {
    if (x.shape === undefined) return [{ dtype: x.dtype, shape: unknownShape(context, 2) }];
    const given = intAttribute(context, 'axis', 1);
    const axis = given === x.shape.length ? given : normalizeAxis(given, x.shape.length);
    return [{ dtype: x.dtype, shape: [multiplyDimensions(x.shape.slice(0, axis)), multiplyDimensions(x.shape.slice(axis))] }];
  },
  gradient: backToShape,
});

const unsqueeze = defineOp({
  name: 'Unsqueeze',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, axesInput], context) => {
    const axes = axesOf(context, 1).values;
    if (x.shape === undefined) return [x];
    if (axes === undefined) {
      const added = rankFromVector(axesInput);
      return [{ dtype: x.dtype, shape: added === undefined ? undefined : unknownShape(context, x.shape.length + added) }];
    }
    const rank = x.shape.length + axes.length;
    const inserted = new Set(axes.map((axis) => normalizeAxis(axis, rank)));
    if (inserted.size !== axes.length) throw invalid(`Unsqueeze has a repeated axis: [${axes.join(', ')}].`);
    const rest = [...x.shape];
    return [{ dtype: x.dtype, shape: Array.from({ length: rank }, (_, axis) => (inserted.has(axis) ? 1 : (rest.shift() as Dimension))) }];
  },
  gradient: backToShape,
});

const squeeze = defineOp({
  name: 'Squeeze',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, axesInput], context) => {
    const { values } = axesOf(context, 1);
    if (x.shape === undefined) return [x];
    const shape = x.shape;
    if (values === undefined) {
      // Without axes, every axis of length 1 is removed; a named length might be 1, so then even the rank is unknown.
      if (axesInput !== undefined || shape.some((length) => typeof length === 'string')) return [{ dtype: x.dtype, shape: undefined }];
      return [{ dtype: x.dtype, shape: shape.filter((length) => length !== 1) }];
    }
    const removed = new Set(values.map((axis) => normalizeAxis(axis, shape.length)));
    for (const axis of removed)
      if (!mayBeEqual(shape[axis] as Dimension, 1)) throw invalid(`Squeeze needs length 1 on axis ${axis}, got ${formatShape(shape)}.`);
    return [{ dtype: x.dtype, shape: shape.filter((_, axis) => !removed.has(axis)) }];
  },
  gradient: backToShape,
});

/** Broadcasts to a shape given as input; 1 keeps the existing length. */
const expand = defineOp({
  name: 'Expand',
  inputs: 2,
  infer: ([x, target], context) => {
    const wanted = constantInts(context, 1);
    if (wanted !== undefined) return [{ dtype: x.dtype, shape: broadcastShapes(x.shape, wanted) }];
    const rank = rankFromVector(target);
    if (rank === undefined || x.shape === undefined) return [{ dtype: x.dtype, shape: undefined }];
    return [{ dtype: x.dtype, shape: unknownShape(context, Math.max(rank, x.shape.length)) }];
  },
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => [x && dy && sumToShapeOf(build, dy, x)],
});

const tile = defineOp({
  name: 'Tile',
  inputs: 2,
  infer: ([x], context) => {
    if (x.shape === undefined) return [x];
    const repeats = constantInts(context, 1);
    if (repeats === undefined) return [{ dtype: x.dtype, shape: unknownShape(context, x.shape.length) }];
    return [{ dtype: x.dtype, shape: x.shape.map((length, axis) => multiplyDimensions([length, repeats[axis] ?? 1])) }];
  },
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => {
    if (!x || !dy) return [];
    const shape = staticShape(x);
    const repeats = staticShape(dy).map((length, axis) => (shape[axis] === 0 ? 1 : length / (shape[axis] as number)));
    const copies = reshaped(
      build,
      dy,
      shape.flatMap((length, axis) => [repeats[axis] as number, length]),
    );
    return [build.op('ReduceSum', [copies, build.int64(shape.map((_, axis) => 2 * axis))], { keepdims: int(0) })];
  },
});

/** The operators of this file. */
export const reshapeOperators = [reshape, transpose, flatten, unsqueeze, squeeze, expand, tile];
