import type { InferContext } from '../graph/operator';
import { addDimensions, formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { commonDType, constantInts, intAttribute, intsAttribute, invalid, stringAttribute, unknownLength } from './inference';

/** Convolutions and pools over [batch, channels, ...space]. */

/** Lengths of the space axes after sliding a window over them. */
function slidSpace(space: readonly Dimension[], kernel: readonly Dimension[], context: InferContext): readonly Dimension[] {
  const strides = intsAttribute(context, 'strides');
  const dilations = intsAttribute(context, 'dilations');
  const pads = intsAttribute(context, 'pads');
  const padding = stringAttribute(context, 'auto_pad', 'NOTSET');
  const roundUp = intAttribute(context, 'ceil_mode', 0) !== 0;
  return space.map((length, axis) => {
    const size = kernel[axis];
    const stride = strides?.[axis] ?? 1;
    if (typeof length === 'string' || typeof size !== 'number') return unknownLength(context, axis + 2);
    if (padding === 'SAME_UPPER' || padding === 'SAME_LOWER') return Math.ceil(length / stride);
    const before = padding === 'VALID' ? 0 : (pads?.[axis] ?? 0);
    const after = padding === 'VALID' ? 0 : (pads?.[axis + space.length] ?? 0);
    const window = (size - 1) * (dilations?.[axis] ?? 1) + 1;
    const steps = (length + before + after - window) / stride;
    if (steps < 0)
      throw invalid(`A window of ${window} does not fit axis ${axis + 2} of length ${length} with pads ${before} and ${after}.`);
    const count = (roundUp ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // Rounding up may not start a window beyond the input and its first pad.
    return roundUp && (count - 1) * stride >= length + before ? count - 1 : count;
  });
}

/** Type of a convolution: x [batch, C, ...], w [M, C / group, ...]. */
function convolved(name: string, x: TensorType, w: TensorType, context: InferContext): readonly Dimension[] | undefined {
  if (x.shape === undefined || w.shape === undefined) return undefined;
  const [batch, channels, ...space] = x.shape as readonly [Dimension, Dimension, ...Dimension[]];
  const [maps, perGroup, ...kernel] = w.shape as readonly [Dimension, Dimension, ...Dimension[]];
  const group = intAttribute(context, 'group', 1);
  if (x.shape.length !== w.shape.length || !mayBeEqual(channels, multiplyDimensions([perGroup, group])))
    throw invalid(
      `${name} of ${group} group${group === 1 ? '' : 's'} needs weights [maps, channels / group, ...kernel] for input ${formatShape(x.shape)}, got ${formatShape(w.shape)}.`,
    );
  return [batch, maps, ...slidSpace(space, kernel, context)];
}

const conv = defineOp({
  name: 'Conv',
  inputs: 2,
  maxInputs: 3,
  infer: ([x, w, bias], context) => [{ dtype: commonDType([x, w, bias]), shape: convolved('Conv', x, w, context) }],
});

/** Convolution with an activation behind it, as ONNX Runtime's optimiser writes it. */
const fusedConv = defineOp({
  name: 'FusedConv',
  domain: 'com.microsoft',
  inputs: 2,
  maxInputs: 4,
  infer: ([x, w], context) => [{ dtype: commonDType([x, w]), shape: convolved('FusedConv', x, w, context) }],
});

const convInteger = defineOp({
  name: 'ConvInteger',
  inputs: 2,
  maxInputs: 4,
  infer: ([x, w], context) => [{ dtype: 'int32', shape: convolved('ConvInteger', x, w, context) }],
});

/** x [batch, C, ...], w [C, M / group, ...]: the transposed map of Conv. */
const convTranspose = defineOp({
  name: 'ConvTranspose',
  inputs: 2,
  maxInputs: 3,
  infer: ([x, w, bias], context) => {
    const dtype = commonDType([x, w, bias]);
    if (x.shape === undefined || w.shape === undefined) return [{ dtype, shape: undefined }];
    const [batch, , ...space] = x.shape as readonly [Dimension, Dimension, ...Dimension[]];
    const [, perGroup, ...kernel] = w.shape as readonly [Dimension, Dimension, ...Dimension[]];
    const given = intsAttribute(context, 'output_shape');
    const padding = stringAttribute(context, 'auto_pad', 'NOTSET');
    const lengths = space.map((length, axis) => {
      if (given !== undefined) return given[given.length - space.length + axis] as number;
      const size = kernel[axis];
      const stride = intsAttribute(context, 'strides')?.[axis] ?? 1;
      if (typeof length === 'string' || typeof size !== 'number') return unknownLength(context, axis + 2);
      if (padding.startsWith('SAME')) return length * stride;
      const pads = padding === 'VALID' ? undefined : intsAttribute(context, 'pads');
      const window = (size - 1) * (intsAttribute(context, 'dilations')?.[axis] ?? 1) + 1;
      const extra = intsAttribute(context, 'output_padding')?.[axis] ?? 0;
      return stride * (length - 1) + extra + window - (pads?.[axis] ?? 0) - (pads?.[axis + space.length] ?? 0);
    });
    return [{ dtype, shape: [batch, multiplyDimensions([perGroup, intAttribute(context, 'group', 1)]), ...lengths] }];
  },
});

const pool = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      const kernel = intsAttribute(context, 'kernel_shape');
      if (kernel === undefined) throw invalid(`${name} needs the attribute kernel_shape.`);
      const shape = x.shape && [...x.shape.slice(0, 2), ...slidSpace(x.shape.slice(2), kernel, context)];
      // MaxPool's second output: flat positions of the maxima.
      return [
        { dtype: x.dtype, shape },
        { dtype: 'int64', shape },
      ];
    },
  });

const globalPool = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x]) => [{ dtype: x.dtype, shape: x.shape?.map((length, axis) => (axis < 2 ? length : 1)) }],
  });

/** Lengths times `scales`, or as `sizes` says. Inputs: x, region, scales, sizes. */
const resize = defineOp({
  name: 'Resize',
  inputs: 1,
  maxInputs: 4,
  infer: ([x], context) => {
    if (x.shape === undefined) return [x];
    const sizes = constantInts(context, 3);
    const axes = intsAttribute(context, 'axes') ?? x.shape.map((_, axis) => axis);
    const scales = context.constantOf(2);
    const factors =
      scales?.kind === 'inline' && scales.dtype === 'float32' && scales.bytes.byteLength > 0
        ? new Float32Array(scales.bytes.slice().buffer)
        : undefined;
    const shape = x.shape.map((length, axis): Dimension => {
      const index = axes.indexOf(axis);
      if (index < 0) return length;
      const factor = factors?.[index];
      if (sizes !== undefined) return sizes[index] ?? unknownLength(context, axis);
      return typeof length === 'number' && factor !== undefined ? Math.floor(length * factor) : unknownLength(context, axis);
    });
    return [{ dtype: x.dtype, shape }];
  },
});

/** Inverse of MaxPool: values go to the positions that it gave. */
const maxUnpool = defineOp({
  name: 'MaxUnpool',
  inputs: 2,
  maxInputs: 3,
  infer: ([x, , sizes], context) => {
    if (sizes !== undefined)
      return [{ dtype: x.dtype, shape: constantInts(context, 2) ?? x.shape?.map((_, axis) => unknownLength(context, axis)) }];
    const kernel = intsAttribute(context, 'kernel_shape') ?? [];
    const shape = x.shape?.map((length, axis): Dimension => {
      const size = kernel[axis - 2];
      if (axis < 2 || size === undefined) return length;
      if (typeof length === 'string') return unknownLength(context, axis);
      const stride = intsAttribute(context, 'strides')?.[axis - 2] ?? 1;
      const pads = intsAttribute(context, 'pads');
      return addDimensions((length - 1) * stride + size, -(pads?.[axis - 2] ?? 0) - (pads?.[axis - 2 + kernel.length] ?? 0));
    });
    return [{ dtype: x.dtype, shape }];
  },
});

/** All of them. */
export const convolutionOperators = [
  conv,
  fusedConv,
  convInteger,
  convTranspose,
  ...['MaxPool', 'AveragePool', 'LpPool'].map(pool),
  ...['GlobalMaxPool', 'GlobalAveragePool', 'GlobalLpPool'].map(globalPool),
  resize,
  maxUnpool,
];
