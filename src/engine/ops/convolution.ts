import type { InferContext } from '../graph/operator';
import { formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { convGradient, convTransposeGradient, fusedConvGradient } from './convolutionGradients';
import { defineOp } from './defineOp';
import { commonDType, intAttribute, intsAttribute, invalid, stringAttribute, unknownLength } from './inference';
import { slidSpace } from './windows';

/** Convolutions over [batch, channels, ...space]. */

/** Type of a convolution: x [batch, C, ...], w [M, C / group, ...]. */
function convolved(name: string, x: TensorType, w: TensorType, context: InferContext): readonly Dimension[] | undefined {
  if (x.shape === undefined || w.shape === undefined) return undefined;
  const [batch, channels, ...space] = x.shape as readonly [Dimension, Dimension, ...Dimension[]];
  const [maps, perGroup, ...kernel] = w.shape as readonly [Dimension, Dimension, ...Dimension[]];
  const group = intAttribute(context, 'group', 1);
  if (x.shape.length < 3 || x.shape.length !== w.shape.length || !mayBeEqual(channels, multiplyDimensions([perGroup, group])))
    throw invalid(
      `${name} with ${group} group${group === 1 ? '' : 's'} needs weights [maps, channels / group, ...kernel] for input ${formatShape(x.shape)}, got ${formatShape(w.shape)}.`,
    );
  return [batch, maps, ...slidSpace(space, kernel, context)];
}

const conv = defineOp({
  name: 'Conv',
  inputs: 2,
  maxInputs: 3,
  infer: ([x, w, bias], context) => [{ dtype: commonDType([x, w, bias]), shape: convolved('Conv', x, w, context) }],
  gradient: convGradient,
});

/** Convolution followed by an activation, as ONNX Runtime's optimiser writes it. */
const fusedConv = defineOp({
  name: 'FusedConv',
  domain: 'com.microsoft',
  inputs: 2,
  maxInputs: 4,
  infer: ([x, w], context) => [{ dtype: commonDType([x, w]), shape: convolved('FusedConv', x, w, context) }],
  gradient: fusedConvGradient,
});

const convInteger = defineOp({
  name: 'ConvInteger',
  inputs: 2,
  maxInputs: 4,
  infer: ([x, w], context) => [{ dtype: 'int32', shape: convolved('ConvInteger', x, w, context) }],
});

/** x [batch, C, ...], w [C, M / group, ...]: the transpose of Conv. */
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
  gradient: convTransposeGradient,
});

/** The operators of this file. */
export const convolutionOperators = [conv, fusedConv, convInteger, convTranspose];
