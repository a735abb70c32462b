import type { GraphBuilder } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { castTo, reshaped, staticShape, sumToShapeOf } from './gradients';
import { floatTypes, indexTypes, intAttribute, invalid, requiredInt, requireDType } from './inference';
import { matMulShape } from './matmul';

/** Products with quantised matrices. Integer results have no slope; weights are constants, so only float inputs have gradients. */

/** Codes of `bits` each, lowest bits first: [..., bytes] uint8 as [..., bytes * 8 / bits] of a float type. */
function unpackedCodes(build: GraphBuilder, packed: Value, bits: number, dtype: Value['type']['dtype']): Value {
  if (bits === 8) return castTo(build, packed, dtype);
  const bytes = (values: readonly number[]): Value =>
    build.constant({ kind: 'inline', dtype: 'uint8', shape: [values.length], bytes: Uint8Array.from(values) });
  const shape = staticShape(packed);
  const perByte = 8 / bits;
  const shifts = bytes(Array.from({ length: perByte }, (_, index) => index * bits));
  const parts = build.op('BitShift', [reshaped(build, packed, [...shape, 1]), shifts], { direction: 'RIGHT' });
  const codes = build.op('BitwiseAnd', [parts, bytes([2 ** bits - 1])]);
  return castTo(build, reshaped(build, codes, [...shape.slice(0, -1), (shape.at(-1) as number) * perByte]), dtype);
}

/** The weights of a MatMulNBits node as [N, K] in the type of the scales: (code - zero point) * scale of the block. */
function dequantizedWeights({ build, node, inputs }: Parameters<GradientRule>[0]): Value {
  const [, packed, scales, zeroPoints, groupIndex] = inputs;
  if (!packed || !scales) throw new LoomweightError('internal', 'MatMulNBits has no weights.');
  if (groupIndex !== undefined) throw new LoomweightError('unsupported', 'its groups are permuted (g_idx).');
  if (packed.type.dtype !== 'uint8')
    throw new LoomweightError('unsupported', `its weights are packed in ${packed.type.dtype}, not in uint8.`);
  const [depth, columns, block] = [requiredInt(node, 'K'), requiredInt(node, 'N'), requiredInt(node, 'block_size')];
  const bits = intAttribute(node, 'bits', 4);
  const blocks = Math.ceil(depth / block);
  const { dtype } = scales.type;
  const { sub, mul, scalar } = formula(build, dtype);
  const firstOf = (value: Value, length: number): Value =>
    staticShape(value)[1] === length ? value : build.op('Slice', [value, build.int64([0]), build.int64([length]), build.int64([1])]);
  const codes = unpackedCodes(build, reshaped(build, packed, [columns, blocks, (block * bits) / 8]), bits, dtype);
  const zeros = (): Value => {
    if (!zeroPoints) return scalar(2 ** (bits - 1));
    const all =
      zeroPoints.type.dtype === 'uint8'
        ? unpackedCodes(build, reshaped(build, zeroPoints, [columns, Math.ceil((blocks * bits) / 8)]), bits, dtype)
        : reshaped(build, zeroPoints, [columns, blocks]);
    return reshaped(build, firstOf(all, blocks), [columns, blocks, 1]);
  };
  const weights = mul(sub(codes, zeros()), reshaped(build, scales, [columns, blocks, 1]));
  return firstOf(reshaped(build, weights, [columns, blocks * block]), depth);
}

/** dx = dy W with the weights unpacked; the codes are constants. */
const matMulNBitsGradient: GradientRule = (context) => {
  const { build, inputs, outputGradients, needs } = context;
  const [bias, dy] = [inputs[5], outputGradients[0]];
  if (!dy) return [];
  if (needs(2) || needs(3))
    throw new LoomweightError('unsupported', 'only its first input and its bias have gradient rules, not its scales.');
  return [
    needs(0) ? build.op('MatMul', [dy, dequantizedWeights(context)]) : undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    bias && needs(5) ? sumToShapeOf(build, dy, bias) : undefined,
  ];
};

/**
 * x [..., K] times a quantised matrix of N columns of K weights: [..., N].
 * B [N, ceil(K / block_size), block_size * bits / 8] uint8, scales [N, blocks] (or flat) of x's type.
 */
const matMulNBits = defineOp({
  name: 'MatMulNBits',
  domain: 'com.microsoft',
  inputs: 3,
  maxInputs: 6,
  infer: ([a, b, scales], context) => {
    const depth = requiredInt(context, 'K');
    const columns = requiredInt(context, 'N');
    const bits = intAttribute(context, 'bits', 4);
    const block = requiredInt(context, 'block_size');
    requireDType(a, ['float32', 'float16', 'bfloat16'], 'The first input of MatMulNBits');
    requireDType(b, ['uint8', 'int32'], 'The packed weights of MatMulNBits');
    requireDType(scales, [a.dtype], 'The scales of MatMulNBits');
    const inner = a.shape?.at(-1);
    if (inner !== undefined && !mayBeEqual(inner, depth))
      throw invalid(`MatMulNBits has K = ${depth}, which does not match its input of shape ${formatShape(a.shape)}.`);
    const expected = [columns, Math.ceil(depth / block), (block * bits) / 8];
    if (b.dtype === 'uint8' && b.shape?.length === 3 && !b.shape.every((length, axis) => mayBeEqual(length, expected[axis] as number)))
      throw invalid(`MatMulNBits needs packed weights of shape ${formatShape(expected)}, got ${formatShape(b.shape)}.`);
    return [{ dtype: a.dtype, shape: a.shape && [...a.shape.slice(0, -1), columns] }];
  },
  gradient: matMulNBitsGradient,
});

/** Integer product of 8-bit matrices with zero points: int32. */
const matMulInteger = defineOp({
  name: 'MatMulInteger',
  inputs: 2,
  maxInputs: 4,
  infer: ([a, b]) => [{ dtype: 'int32', shape: matMulShape('MatMulInteger', a.shape, b.shape) }],
  gradient: 'none',
});

/** 8-bit product scaled back to 8 bits: inputs a, scale, zero point, b, scale, zero point, result scale, result zero point. */
const qLinearMatMul = defineOp({
  name: 'QLinearMatMul',
  inputs: 4,
  maxInputs: 8,
  infer: ([a, , , b, ...rest]) => [{ dtype: rest[3]?.dtype ?? a.dtype, shape: matMulShape('QLinearMatMul', a.shape, b.shape) }],
  gradient: 'none',
});

/** Float input, quantised dynamically, times an 8-bit matrix: float. */
const dynamicQuantizeMatMul = defineOp({
  name: 'DynamicQuantizeMatMul',
  domain: 'com.microsoft',
  inputs: 3,
  maxInputs: 5,
  infer: ([a, b]) => [{ dtype: a.dtype, shape: matMulShape('DynamicQuantizeMatMul', a.shape, b.shape) }],
});

/** 8-bit product scaled to float. */
const matMulIntegerToFloat = defineOp({
  name: 'MatMulIntegerToFloat',
  domain: 'com.microsoft',
  inputs: 4,
  maxInputs: 7,
  infer: ([a, b, scale]) => [{ dtype: scale.dtype, shape: matMulShape('MatMulIntegerToFloat', a.shape, b.shape) }],
});

/**
 * Rows of a table quantised in blocks along `quantize_axis`, dequantised to the type of the scales. 4-bit codes packed into uint8 count
 * twice on the last axis.
 */
const gatherBlockQuantized = defineOp({
  name: 'GatherBlockQuantized',
  domain: 'com.microsoft',
  inputs: 3,
  maxInputs: 4,
  infer: ([data, indices, scales], context) => {
    requireDType(indices, indexTypes, 'The indices of GatherBlockQuantized');
    requireDType(scales, floatTypes, 'The scales of GatherBlockQuantized');
    if (data.shape === undefined || indices.shape === undefined) return [{ dtype: scales.dtype, shape: undefined }];
    const bits = intAttribute(context, 'bits', 4);
    const perByte = data.dtype === 'uint8' ? 8 / bits : 1;
    const axis = intAttribute(context, 'gather_axis', 0);
    const last = data.shape.length - 1;
    const unpacked = data.shape.map((length, index) => (index === last && perByte !== 1 ? multiplyDimensions([length, perByte]) : length));
    return [{ dtype: scales.dtype, shape: [...unpacked.slice(0, axis), ...indices.shape, ...unpacked.slice(axis + 1)] }];
  },
});

/** All products with quantised matrices. */
export const quantizedProductOperators = [
  matMulNBits,
  matMulInteger,
  qLinearMatMul,
  dynamicQuantizeMatMul,
  matMulIntegerToFloat,
  gatherBlockQuantized,
];
