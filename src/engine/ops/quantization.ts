import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import { int } from '../graph/builder';
import { dtypeOfElementType } from '../graph/elementTypes';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { formatShape, isStaticShape } from '../graph/shapes';
import type { InferContext } from '../graph/operator';
import type { TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { castTo, filled, reshaped, staticShape } from './gradients';
import { floatTypes, intAttribute, invalid, normalizeAxis, requireDType } from './inference';

/** Quantisation and its inverse: per tensor (scalar scale), per axis (vector), per block (scale with the input's rank). */

/** Checks a scale against its tensor. Block scales: ceil(length / block_size) on the block axis, equal on the others. */
function checkScale(name: string, x: TensorType, scale: TensorType, context: InferContext): void {
  if (x.shape === undefined || scale.shape === undefined || scale.shape.length === 0) return;
  if (scale.shape.length === 1 && (x.shape.length !== 1 || intAttribute(context, 'block_size', 0) === 0)) {
    const length = scale.shape[0];
    if (length === 1 || x.shape.length === 0) return;
    const axis = normalizeAxis(intAttribute(context, 'axis', 1), x.shape.length);
    const expected = x.shape[axis];
    if (typeof length === 'number' && typeof expected === 'number' && length !== expected)
      throw invalid(`${name} on axis ${axis} of ${formatShape(x.shape)} needs ${expected} scales, got ${length}.`);
    return;
  }
  const block = intAttribute(context, 'block_size', 0);
  const axis = normalizeAxis(intAttribute(context, 'axis', 1), x.shape.length);
  if (!isStaticShape(x.shape) || !isStaticShape(scale.shape)) return;
  const expected = x.shape.map((length, index) => (index === axis && block > 0 ? Math.ceil(length / block) : length));
  const shape = scale.shape;
  if (shape.length !== expected.length || !expected.every((length, index) => length === shape[index]))
    throw invalid(
      `${name} in blocks of ${block} on axis ${axis} of ${formatShape(x.shape)} needs scales of shape ${formatShape(expected)}, got ${formatShape(shape)}.`,
    );
}

const quantizeLinear = (domain: string) =>
  defineOp({
    name: 'QuantizeLinear',
    domain,
    inputs: 2,
    maxInputs: 3,
    infer: ([x, scale, zeroPoint], context) => {
      checkScale('QuantizeLinear', x, scale, context);
      const asked = intAttribute(context, 'output_dtype', 0);
      return [{ dtype: zeroPoint?.dtype ?? dtypeOfElementType(asked) ?? 'uint8', shape: x.shape }];
    },
    gradient: 'none',
  });

/** Codes are integers: only the scale has a gradient, the sum of dy (code - zero point) over the values that it scales. */
const dequantizeGradient: GradientRule = ({ build, node, inputs: [codes, scale, zeroPoint], outputGradients: [dy], needs }) => {
  if (!codes || !scale || !dy || !needs(1)) return [];
  const shape = staticShape(codes);
  const scales = staticShape(scale);
  const ones = filled(build, 1, scales, scale.type.dtype);
  // The same node with scales of 1 gives the codes minus their zero points, whatever the layout.
  const steps = build.op(node.op, [codes, ones, zeroPoint], node.attributes, { domain: node.domain });
  const each = formula(build, scale.type.dtype).mul(castTo(build, dy, scale.type.dtype), castTo(build, steps, scale.type.dtype));
  const fold = (value: Value, axes: readonly number[]): Value =>
    reshaped(build, axes.length === 0 ? value : build.op('ReduceSum', [value, build.int64(axes)], { keepdims: int(0) }), scales);
  const axis = shape.length === 0 ? 0 : normalizeAxis(intAttribute(node, 'axis', 1), shape.length);
  const all = shape.map((_, index) => index);
  const block = intAttribute(node, 'block_size', 0);
  if (scales.length === shape.length && block > 0) {
    const length = shape[axis] as number;
    if (length % block !== 0)
      throw new LoomweightError('unsupported', `its blocks of ${block} do not divide the ${length} values on axis ${axis}.`);
    return [undefined, fold(reshaped(build, each, [...shape.slice(0, axis), length / block, block, ...shape.slice(axis + 1)]), [axis + 1])];
  }
  return [undefined, fold(each, elementCount(scales) === 1 ? all : all.filter((index) => index !== axis))];
};

const dequantizeLinear = (domain: string) =>
  defineOp({
    name: 'DequantizeLinear',
    domain,
    inputs: 2,
    maxInputs: 3,
    infer: ([x, scale, zeroPoint], context) => {
      requireDType(scale, floatTypes, 'The scale of DequantizeLinear');
      requireDType(zeroPoint, [x.dtype], 'The zero point of DequantizeLinear');
      checkScale('DequantizeLinear', x, scale, context);
      const asked = intAttribute(context, 'output_dtype', 0);
      return [{ dtype: dtypeOfElementType(asked) ?? scale.dtype, shape: x.shape }];
    },
    gradient: dequantizeGradient,
  });

/** uint8 codes with a scale and zero point computed from the range of the values. */
const dynamicQuantizeLinear = defineOp({
  name: 'DynamicQuantizeLinear',
  inputs: 1,
  infer: ([x]) => [
    { dtype: 'uint8', shape: x.shape },
    { dtype: 'float32', shape: [] },
    { dtype: 'uint8', shape: [] },
  ],
});

/** The operators of this file. */
export const quantizationOperators = [
  quantizeLinear(''),
  dequantizeLinear(''),
  quantizeLinear('com.microsoft'),
  dequantizeLinear('com.microsoft'),
  dynamicQuantizeLinear,
];
