import { float, int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import { broadcastShapes, formatShape, mayBeEqual, multiplyDimensions } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { reshaped, staticShape, sumToShapeOf, transposed } from './gradients';
import {
  commonDType,
  floatAttribute,
  floatTypes,
  indexTypes,
  intAttribute,
  invalid,
  requiredInt,
  requireDType,
  requireRank,
  type Shape,
} from './inference';

/** Matrix products. */

/** Shape of a NumPy-style matrix product; the inner lengths must agree. Vectors lose their axis, as in NumPy. */
export function matMulShape(name: string, a: Shape, b: Shape): Shape {
  if (a === undefined || b === undefined) return undefined;
  if (a.length === 0 || b.length === 0) throw invalid(`${name} takes no scalars, got ${formatShape(a)} and ${formatShape(b)}.`);
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const inner = left.at(-1) as Dimension;
  const depth = right.at(-2) as Dimension;
  if (!mayBeEqual(inner, depth))
    throw invalid(
      `${name} needs equal inner lengths, got ${formatShape(a)} and ${formatShape(b)}: ${String(inner)} is not ${String(depth)}.`,
    );
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) as readonly Dimension[];
  const rows = a.length === 1 ? [] : [left.at(-2) as Dimension];
  const columns = b.length === 1 ? [] : [right.at(-1) as Dimension];
  return [...batch, ...rows, ...columns];
}

/** d/da = dy b^T and d/db = a^T dy, summed over the batch axes that were broadcast; vectors are matrices with an axis of length 1. */
const matMulGradient: GradientRule = ({ build, inputs: [a, b], outputGradients: [dy], needs }) => {
  if (!a || !b || !dy) return [];
  const left = staticShape(a);
  const right = staticShape(b);
  const aMatrix = left.length === 1 ? reshaped(build, a, [1, ...left]) : a;
  const bMatrix = right.length === 1 ? reshaped(build, b, [...right, 1]) : b;
  const product = staticShape(dy);
  const batch = left.length === 1 ? product.slice(0, right.length === 1 ? undefined : -1) : product.slice(0, right.length === 1 ? -1 : -2);
  const dyMatrix =
    left.length === 1 || right.length === 1
      ? reshaped(build, dy, [...batch, left.length === 1 ? 1 : (left.at(-2) as number), right.length === 1 ? 1 : (right.at(-1) as number)])
      : dy;
  const da = needs(0) ? sumToShapeOf(build, build.op('MatMul', [dyMatrix, swapLastAxes(build, bMatrix)]), aMatrix) : undefined;
  const db = needs(1) ? matMulRightGradient(build, aMatrix, dyMatrix, bMatrix) : undefined;
  return [da && reshaped(build, da, left), db && reshaped(build, db, right)];
};

/** a^T dy. Where b is one matrix for the whole batch, the batch is folded into rows: one large product instead of many and a sum. */
function matMulRightGradient(build: GraphBuilder, a: Value, dy: Value, b: Value): Value {
  if (staticShape(b).length === 2) {
    const rows = (value: Value): Value =>
      staticShape(value).length === 2 ? value : reshaped(build, value, [-1, staticShape(value).at(-1) as number]);
    return build.op('MatMul', [transposed(build, rows(a), [1, 0]), rows(dy)]);
  }
  return sumToShapeOf(build, build.op('MatMul', [swapLastAxes(build, a), dy]), b);
}

function swapLastAxes(build: GraphBuilder, value: Value): Value {
  const rank = staticShape(value).length;
  return transposed(build, value, [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2]);
}

const matMul = defineOp({
  name: 'MatMul',
  inputs: 2,
  infer: ([a, b]) => [{ dtype: commonDType([a, b]), shape: matMulShape('MatMul', a.shape, b.shape) }],
  gradient: matMulGradient,
});

/** dA' = alpha dY B'^T and dB' = alpha A'^T dY, each a Gemm that transposes on the fly; dC = beta dY, summed to C's shape. */
const gemmGradient: GradientRule = ({ build, node, inputs: [a, b, c], outputGradients: [dy], needs }) => {
  if (!a || !b || !dy) return [];
  const alpha = float(floatAttribute(node, 'alpha', 1));
  const beta = floatAttribute(node, 'beta', 1);
  const transA = intAttribute(node, 'transA', 0) !== 0;
  const transB = intAttribute(node, 'transB', 0) !== 0;
  const product = (left: Value, right: Value, transposeLeft: boolean, transposeRight: boolean): Value =>
    build.op('Gemm', [left, right], { alpha, transA: int(transposeLeft ? 1 : 0), transB: int(transposeRight ? 1 : 0) });
  const dc = c && needs(2) ? sumToShapeOf(build, dy, c) : undefined;
  return [
    needs(0) ? (transA ? product(b, dy, transB, true) : product(dy, b, false, !transB)) : undefined,
    needs(1) ? (transB ? product(dy, a, true, transA) : product(a, dy, !transA, false)) : undefined,
    dc && beta !== 1 ? formula(build, dc.type.dtype).mul(dc, beta) : dc,
  ];
};

/** alpha * A' B' + beta * C for matrices, either one transposed on request. C is broadcast to the result. */
const gemm = defineOp({
  name: 'Gemm',
  inputs: 2,
  maxInputs: 3,
  infer: ([a, b, c], context) => {
    requireRank(a, [2], 'The first input of Gemm');
    requireRank(b, [2], 'The second input of Gemm');
    const left = intAttribute(context, 'transA', 0) !== 0 ? a.shape && [...a.shape].reverse() : a.shape;
    const right = intAttribute(context, 'transB', 0) !== 0 ? b.shape && [...b.shape].reverse() : b.shape;
    const shape = matMulShape('Gemm', left, right);
    if (c?.shape !== undefined && shape !== undefined) broadcastShapes(shape, c.shape);
    return [{ dtype: commonDType([a, b, c]), shape }];
  },
  gradient: gemmGradient,
});

/** Transposes the last two axes, and for `transBatch` moves the first axis behind the batch. */
function fusedOperand(shape: Shape, context: InferContext, side: 'A' | 'B'): Shape {
  if (shape === undefined || shape.length < 2) return shape;
  let result = [...shape];
  if (intAttribute(context, `transBatch${side}`, 0) !== 0)
    result = [...result.slice(1, -1), result[0] as Dimension, result.at(-1) as Dimension];
  if (intAttribute(context, `trans${side}`, 0) !== 0)
    result = [...result.slice(0, -2), result.at(-1) as Dimension, result.at(-2) as Dimension];
  return result;
}

const fusedMatMul = defineOp({
  name: 'FusedMatMul',
  domain: 'com.microsoft',
  inputs: 2,
  infer: ([a, b], context) => [
    {
      dtype: commonDType([a, b]),
      shape: matMulShape('FusedMatMul', fusedOperand(a.shape, context, 'A'), fusedOperand(b.shape, context, 'B')),
    },
  ],
});

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
      throw invalid(`MatMulNBits has K = ${depth}, but its input has shape ${formatShape(a.shape)}.`);
    const expected = [columns, Math.ceil(depth / block), (block * bits) / 8];
    if (b.dtype === 'uint8' && b.shape?.length === 3 && !b.shape.every((length, axis) => mayBeEqual(length, expected[axis] as number)))
      throw invalid(`MatMulNBits needs packed weights of shape ${formatShape(expected)}, got ${formatShape(b.shape)}.`);
    return [{ dtype: a.dtype, shape: a.shape && [...a.shape.slice(0, -1), columns] }];
  },
});

/** Integer product of 8-bit matrices, with zero points: int32. */
const matMulInteger = defineOp({
  name: 'MatMulInteger',
  inputs: 2,
  maxInputs: 4,
  infer: ([a, b]) => [{ dtype: 'int32', shape: matMulShape('MatMulInteger', a.shape, b.shape) }],
});

/** 8-bit product scaled back to 8 bits: inputs a, scale, zero point, b, scale, zero point, result scale, result zero point. */
const qLinearMatMul = defineOp({
  name: 'QLinearMatMul',
  inputs: 4,
  maxInputs: 8,
  infer: ([a, , , b, ...rest]) => [{ dtype: rest[3]?.dtype ?? a.dtype, shape: matMulShape('QLinearMatMul', a.shape, b.shape) }],
});

/** Float input quantised on the fly, times an 8-bit matrix: float. */
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
 * Rows of a table quantised in blocks along `quantize_axis`, widened to the scales' type. 4-bit codes packed into uint8
 * count twice on the last axis.
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

/** All matrix products. */
export const matMulOperators = [
  matMul,
  gemm,
  fusedMatMul,
  matMulNBits,
  matMulInteger,
  qLinearMatMul,
  dynamicQuantizeMatMul,
  matMulIntegerToFloat,
  gatherBlockQuantized,
];
