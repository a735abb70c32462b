import { int } from '../graph/builder';
import type { GradientContext } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { addDimensions, formatShape, mayBeEqual } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { filled, reshaped, staticShape } from './gradients';
import {
  commonDType,
  constantInts,
  intAttribute,
  intsAttribute,
  invalid,
  normalizeAxis,
  requireDType,
  stringAttribute,
  unknownLength,
  unknownShape,
} from './inference';
import { padded, sliced, unsliced, untaken, type Stretch } from './placement';

/** Operators that join, split, slice and pad tensors. */

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
          // A number is more specific than a name.
          const lengths = shapes.map((shape) => shape[index] as Dimension);
          return lengths.find((length) => typeof length === 'number') ?? (lengths[0] as Dimension);
        }),
      },
    ];
  },
  gradient: ({ build, node, inputs, outputGradients: [dy], needs }) => {
    const parts = inputs.filter((input) => input !== undefined);
    if (!dy || parts.length !== inputs.length) return [];
    const axis = normalizeAxis(intAttribute(node, 'axis', 1), staticShape(dy).length);
    const lengths = parts.map((part) => staticShape(part)[axis] as number);
    if (parts.every((_, index) => needs(index)))
      return parts.length === 1 ? [dy] : build.node('Split', [dy, build.int64(lengths)], { axis: int(axis) }, { outputs: parts.length });
    let at = 0;
    return lengths.map((count, index) => {
      const start = at;
      at += count;
      return needs(index) ? sliced(build, dy, [{ axis, start, count, step: 1 }]) : undefined;
    });
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
  gradient: (context) => {
    const { build, node, outputGradients } = context;
    const [x] = context.inputs;
    if (!x) return [];
    const shape = staticShape(x);
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape.length);
    const lengths = partLengths(context, shape[axis] as number);
    const used = outputGradients.filter((gradient) => gradient !== undefined);
    const [only] = used;
    if (only !== undefined && used.length === 1) {
      const index = outputGradients.indexOf(only);
      const start = lengths.slice(0, index).reduce((sum, length) => sum + length, 0);
      return [unsliced(build, only, [{ axis, start, count: lengths[index] as number, step: 1 }], shape)];
    }
    const zeros = (length: number): Value =>
      filled(
        build,
        0,
        shape.map((old, index) => (index === axis ? length : old)),
        x.type.dtype,
      );
    return [
      build.op(
        'Concat',
        lengths.map((length, index) => outputGradients[index] ?? zeros(length)),
        { axis: int(axis) },
      ),
    ];
  },
});

/** Lengths of the parts of a Split of an axis of known length. */
function partLengths(context: GradientContext, whole: number): readonly number[] {
  const given = intsAttribute(context.node, 'split') ?? constantInts(context, 1);
  if (given !== undefined) return given;
  if (context.inputs[1] !== undefined) throw invalid('its lengths are computed at run time');
  const parts = intAttribute(context.node, 'num_outputs', context.node.outputs.length);
  const size = Math.ceil(whole / parts);
  return Array.from({ length: parts }, (_, index) => Math.max(0, Math.min(size, whole - index * size)));
}

/** Length of `start:end:step` on an axis of the given length, or undefined if the axis only has a name. */
function slicedLength(length: Dimension, start: number, end: number, step: number): number | undefined {
  if (typeof length === 'string') {
    // The first n of a named axis may be fewer; only a slice from the end is known: the last element.
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
      if (step === 0) throw invalid('Slice steps must not be 0.');
      const wholeAxis = start === 0 && step === 1 && end !== undefined && end >= 2 ** 31 - 1;
      result[normal] = wholeAxis
        ? length
        : start === undefined || end === undefined
          ? unknownLength(context, normal)
          : (slicedLength(length, start, end, step) ?? unknownLength(context, normal));
    });
    return [{ dtype: x.dtype, shape: result }];
  },
  gradient: (context) => {
    const [x] = context.inputs;
    const [dy] = context.outputGradients;
    return x && dy ? [unsliced(context.build, dy, stretchesOf(context, staticShape(x), staticShape(dy)), staticShape(x))] : [];
  },
});

/** The ranges of a Slice with known lengths. */
function stretchesOf(context: GradientContext, shape: readonly number[], result: readonly number[]): readonly Stretch[] {
  const starts = intsAttribute(context.node, 'starts') ?? constantInts(context, 1);
  const axes = intsAttribute(context.node, 'axes') ?? constantInts(context, 3) ?? starts?.map((_, axis) => axis);
  if (starts === undefined || axes === undefined || (context.inputs[3] !== undefined && constantInts(context, 3) === undefined))
    throw invalid('its starts or axes are computed at run time');
  const steps = constantInts(context, 4);
  if (context.inputs[4] !== undefined && steps === undefined) throw invalid('its steps are computed at run time');
  return axes.map((given, index) => {
    const axis = normalizeAxis(given, shape.length);
    const length = shape[axis] as number;
    const step = steps?.[index] ?? 1;
    const start = starts[index] as number;
    const from = Math.min(Math.max(start < 0 ? start + length : start, 0), step > 0 ? length : length - 1);
    return { axis, start: from, count: result[axis] as number, step };
  });
}

/** Upper or lower triangle of the last two axes; the rest becomes 0. */
const trilu = defineOp({
  name: 'Trilu',
  inputs: 1,
  maxInputs: 2,
  infer: ([x, k]) => {
    requireDType(k, ['int64'], 'The diagonal of Trilu');
    if (x.shape !== undefined && x.shape.length < 2) throw invalid(`Trilu needs a rank of at least 2, got ${formatShape(x.shape)}.`);
    return [x];
  },
  gradient: ({ build, node, inputs: [, k], outputGradients: [dy] }) => [dy && build.op('Trilu', [dy, k], node.attributes)],
});

/** Pads: [start of every axis, end of every axis]; since opset 18 optionally for a subset of the axes. */
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
    if (pads.length !== axes.length * 2) throw invalid(`Pad needs two lengths per axis, got ${pads.length} for ${axes.length} axes.`);
    const result: Dimension[] = [...shape];
    axes.forEach((axis, index) => {
      const normal = normalizeAxis(axis, shape.length);
      result[normal] = addDimensions(result[normal] as Dimension, (pads[index] as number) + (pads[index + axes.length] as number));
    });
    return [{ dtype: x.dtype, shape: result }];
  },
  gradient: padGradient,
});

/**
 * A constant border is dropped; a copied one (edge, reflect, wrap) is added to the positions it was copied from. The fill value gets the
 * sum of its border.
 */
function padGradient(context: GradientContext): readonly (Value | undefined)[] {
  const { build, node, needs } = context;
  const [x, , fill] = context.inputs;
  const [dy] = context.outputGradients;
  if (!x || !dy) return [];
  const shape = staticShape(x);
  const pads = intsAttribute(node, 'pads') ?? constantInts(context, 1);
  const given = constantInts(context, 3);
  if (pads === undefined || (context.inputs[3] !== undefined && given === undefined)) throw invalid('its widths are computed at run time');
  const axes = (given ?? shape.map((_, axis) => axis)).map((axis) => normalizeAxis(axis, shape.length));
  const widths = shape.map((_, axis): readonly [number, number] => {
    const index = axes.indexOf(axis);
    return index < 0 ? [0, 0] : [pads[index] as number, pads[index + axes.length] as number];
  });
  const mode = stringAttribute(node, 'mode', 'constant');
  if (mode === 'constant') {
    const dx = padded(
      build,
      dy,
      widths.map(([before, after]) => [-before, -after]),
    );
    if (!needs(2) || !fill) return [dx];
    const sum = (value: Value): Value => build.op('ReduceSum', [value], { keepdims: int(0) });
    return [dx, undefined, reshaped(build, build.op('Sub', [sum(dy), sum(dx)]), staticShape(fill))];
  }
  return [
    widths.reduce((gradient, [before, after], axis) => {
      if (before === 0 && after === 0) return gradient;
      const length = shape[axis] as number;
      const positions = Array.from({ length: before + length + after }, (_, at) => borderPlace(mode, at - before, length));
      return untaken(build, gradient, axis, positions, length);
    }, dy),
  ];
}

/** The position on an axis from which a position outside it is copied. */
function borderPlace(mode: string, at: number, length: number): number {
  if (mode === 'edge') return Math.min(Math.max(at, 0), length - 1);
  if (mode === 'wrap') return ((at % length) + length) % length;
  if (mode !== 'reflect') throw invalid(`the mode '${mode}' of Pad is unknown`);
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const place = ((at % period) + period) % period;
  return place < length ? place : period - place;
}

/** The operators of this file. */
export const slicingOperators = [concat, split, slice, trilu, pad];
