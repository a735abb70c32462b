import type { InferContext } from '../graph/operator';
import { addDimensions, broadcastShapes, divideProducts, formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { reshaped, staticShape } from './gradients';
import {
  axesOf,
  commonDType,
  constantInts,
  intAttribute,
  intsAttribute,
  invalid,
  normalizeAxis,
  requireDType,
  unknownLength,
  unknownShape,
  type Shape,
} from './inference';

/** Operators that rearrange values without changing them: Reshape, Transpose, Concat, Split, Slice, Expand and their kin. */

/** Rank of the result that a shape input of known length asks for. */
function rankFromVector(type: TensorType | undefined): number | undefined {
  const length = type?.shape?.[0];
  return typeof length === 'number' ? length : undefined;
}

/**
 * 0 copies the length of the same axis (unless `allowzero`), -1 takes what is left. Lengths by name cancel: reshaping
 * [batch, sequence, 8, 32] to [0, 0, -1] gives [batch, sequence, 256].
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
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => [x && dy && reshaped(build, dy, staticShape(x))],
});

function shapeAfter(source: Shape, wanted: readonly number[], context: InferContext): Shape {
  const allowZero = intAttribute(context, 'allowzero', 0) !== 0;
  const holes = wanted.filter((length) => length === -1).length;
  if (holes > 1 || wanted.some((length) => length < -1))
    throw invalid(`Reshape needs lengths of 0 and above and at most one -1, got ${formatShape(wanted)}.`);
  const lengths = wanted.map((length, axis): Dimension => {
    if (length !== 0 || allowZero) return length;
    if (source === undefined) return unknownLength(context, axis);
    const copied = source[axis];
    if (copied === undefined)
      throw invalid(`Reshape to ${formatShape(wanted)} copies axis ${axis} of ${formatShape(source)}: there is none.`);
    return copied;
  });
  if (source === undefined) return lengths.map((length, axis) => (length === -1 ? unknownLength(context, axis) : length));
  const known = lengths.filter((length) => length !== -1);
  const rest = divideProducts(source, known);
  if (rest === undefined || (holes === 0 && typeof rest === 'number' && rest !== 1 && !source.includes(0)))
    throw invalid(`Reshape cannot make ${formatShape(wanted)} of ${formatShape(source)}: the number of elements differs.`);
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
      throw invalid(`Transpose needs every axis once, got perm [${order.join(', ')}] for shape ${formatShape(shape)}.`);
    return [{ dtype: x.dtype, shape: order.map((axis) => shape[normalizeAxis(axis, shape.length)] as Dimension) }];
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
    if (inserted.size !== axes.length) throw invalid(`Unsqueeze names an axis twice: [${axes.join(', ')}].`);
    const rest = [...x.shape];
    return [{ dtype: x.dtype, shape: Array.from({ length: rank }, (_, axis) => (inserted.has(axis) ? 1 : (rest.shift() as Dimension))) }];
  },
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
      // Without axes every length 1 goes; a name might be 1, then even the rank is unknown.
      if (axesInput !== undefined || shape.some((length) => typeof length === 'string')) return [{ dtype: x.dtype, shape: undefined }];
      return [{ dtype: x.dtype, shape: shape.filter((length) => length !== 1) }];
    }
    const removed = new Set(values.map((axis) => normalizeAxis(axis, shape.length)));
    for (const axis of removed)
      if (!mayBeEqual(shape[axis] as Dimension, 1)) throw invalid(`Squeeze needs length 1 on axis ${axis}, got ${formatShape(shape)}.`);
    return [{ dtype: x.dtype, shape: shape.filter((_, axis) => !removed.has(axis)) }];
  },
});

const concat = defineOp({
  name: 'Concat',
  inputs: 1,
  maxInputs: Infinity,
  infer: (inputs, context) => {
    const types = inputs.filter((type) => type !== undefined);
    const dtype = commonDType(types);
    const shapes = types.map((type) => type.shape).filter((shape) => shape !== undefined);
    const first = shapes[0];
    if (first === undefined) return [{ dtype, shape: undefined }];
    const axis = normalizeAxis(intAttribute(context, 'axis', 1), first.length);
    const differs = shapes.find(
      (shape) =>
        shape.length !== first.length || shape.some((length, index) => index !== axis && !mayBeEqual(length, first[index] as Dimension)),
    );
    if (differs)
      throw invalid(`Concat on axis ${axis} needs equal lengths on all other axes, got ${formatShape(first)} and ${formatShape(differs)}.`);
    return [
      {
        dtype,
        shape: first.map((_, index) => {
          if (index === axis)
            return shapes.length < types.length
              ? unknownLength(context, axis)
              : shapes.map((shape) => shape[axis] as Dimension).reduce((sum, length) => addDimensions(sum, length));
          // A number says more than a name.
          const lengths = shapes.map((shape) => shape[index] as Dimension);
          return lengths.find((length) => typeof length === 'number') ?? (lengths[0] as Dimension);
        }),
      },
    ];
  },
});

/** Equal parts by `num_outputs` (the last may be shorter), or parts of given lengths. */
const split = defineOp({
  name: 'Split',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, lengthsInput], context) => {
    const count = context.outputCount;
    if (x.shape === undefined) return Array.from({ length: count }, () => x);
    const shape = x.shape;
    const axis = normalizeAxis(intAttribute(context, 'axis', 0), shape.length);
    const whole = shape[axis] as Dimension;
    const lengths = intsAttribute(context, 'split') ?? constantInts(context, 1);
    const part = (length: Dimension): TensorType => ({ dtype: x.dtype, shape: shape.map((old, index) => (index === axis ? length : old)) });
    if (lengths !== undefined) {
      const sum = lengths.reduce((total, length) => total + length, 0);
      if (lengths.length < count || !mayBeEqual(whole, sum))
        throw invalid(`Split into [${lengths.join(', ')}] does not fit axis ${axis} of ${formatShape(shape)} and ${count} outputs.`);
      return lengths.map(part);
    }
    if (lengthsInput !== undefined || typeof whole === 'string')
      return Array.from({ length: count }, (_, index) => part(unknownLength(context, `${axis}.${index}`)));
    const parts = intAttribute(context, 'num_outputs', count);
    const size = Math.ceil(whole / parts);
    return Array.from({ length: parts }, (_, index) => part(Math.max(0, Math.min(size, whole - index * size))));
  },
});

/** Length of `start:end:step` on an axis of the given length, or undefined where the axis has only a name. */
function slicedLength(length: Dimension, start: number, end: number, step: number): number | undefined {
  if (typeof length === 'string') {
    // The first n of a named axis may be fewer; only a slice that starts at the end is known: the last one.
    return start === -1 && step === 1 && end >= 2 ** 31 - 1 ? 1 : undefined;
  }
  const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value < 0 ? value + length : value, low), high);
  const from = step > 0 ? clamp(start, 0, length) : clamp(start, 0, length - 1);
  const to = step > 0 ? clamp(end, 0, length) : clamp(end, -1, length - 1);
  return Math.max(0, Math.ceil((to - from) / step));
}

const slice = defineOp({
  name: 'Slice',
  inputs: 1,
  maxInputs: 5,
  infer: ([x, , , axesInput], context) => {
    if (x.shape === undefined) return [x];
    const shape = x.shape;
    const starts = intsAttribute(context, 'starts') ?? constantInts(context, 1);
    const ends = intsAttribute(context, 'ends') ?? constantInts(context, 2);
    const given = intsAttribute(context, 'axes') ?? constantInts(context, 3);
    const steps = constantInts(context, 4);
    const count = starts?.length ?? ends?.length ?? shape.length;
    const axes = given ?? (axesInput === undefined ? Array.from({ length: count }, (_, axis) => axis) : undefined);
    if (axes === undefined) return [{ dtype: x.dtype, shape: unknownShape(context, shape.length) }];
    const result: Dimension[] = [...shape];
    axes.forEach((axis, index) => {
      const normal = normalizeAxis(axis, shape.length);
      const length = shape[normal] as Dimension;
      const start = starts?.[index];
      const end = ends?.[index];
      const step = steps?.[index] ?? 1;
      if (step === 0) throw invalid('Slice needs steps other than 0.');
      const wholeAxis = start === 0 && step === 1 && end !== undefined && end >= 2 ** 31 - 1;
      result[normal] = wholeAxis
        ? length
        : start === undefined || end === undefined
          ? unknownLength(context, normal)
          : (slicedLength(length, start, end, step) ?? unknownLength(context, normal));
    });
    return [{ dtype: x.dtype, shape: result }];
  },
});

/** Broadcasts to a shape that is an input; 1 keeps the length that is there. */
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
});

/** Moves blocks of depth into space: [N, C, H, W] to [N, C / b^2, H b, W b]. */
const depthToSpace = defineOp({
  name: 'DepthToSpace',
  inputs: 1,
  infer: ([x], context) => {
    const block = intAttribute(context, 'blocksize', 1);
    if (x.shape === undefined) return [x];
    const [n, c, h, w] = x.shape as readonly [Dimension, Dimension, Dimension, Dimension];
    const channels = divideProducts([c], [block * block]);
    if (channels === undefined) throw invalid(`DepthToSpace needs channels divisible by ${block * block}, got ${formatShape(x.shape)}.`);
    return [{ dtype: x.dtype, shape: [n, channels, multiplyDimensions([h, block]), multiplyDimensions([w, block])] }];
  },
});

/** Upper or lower triangle of the last two axes; the rest becomes 0. */
const trilu = defineOp({
  name: 'Trilu',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, k]) => {
    requireDType(k, ['int64'], 'The diagonal of Trilu');
    if (x.shape !== undefined && x.shape.length < 2) throw invalid(`Trilu needs rank 2 and above, got ${formatShape(x.shape)}.`);
    return [x];
  },
});

/** Pads: [start of every axis, end of every axis]; since opset 18 optionally for some axes only. */
const pad = defineOp({
  name: 'Pad',
  inputs: 1,
  maxInputs: 4,
  infer: ([x, , , axesInput], context) => {
    if (x.shape === undefined) return [x];
    const shape = x.shape;
    const pads = intsAttribute(context, 'pads') ?? constantInts(context, 1);
    const axes = constantInts(context, 3) ?? (axesInput === undefined ? shape.map((_, axis) => axis) : undefined);
    if (pads === undefined || axes === undefined) return [{ dtype: x.dtype, shape: unknownShape(context, shape.length) }];
    if (pads.length !== axes.length * 2) throw invalid(`Pad needs two lengths for each axis, got ${pads.length} for ${axes.length} axes.`);
    const result: Dimension[] = [...shape];
    axes.forEach((axis, index) => {
      const normal = normalizeAxis(axis, shape.length);
      result[normal] = addDimensions(result[normal] as Dimension, (pads[index] as number) + (pads[index + axes.length] as number));
    });
    return [{ dtype: x.dtype, shape: result }];
  },
});

/** All operators that rearrange values. */
export const reshapeOperators = [
  reshape,
  transpose,
  flatten,
  unsqueeze,
  squeeze,
  concat,
  split,
  slice,
  expand,
  tile,
  depthToSpace,
  trilu,
  pad,
];
