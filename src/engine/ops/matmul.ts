import { LoomweightError } from '../../protocol/errors';
import { float, int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import { broadcastShapes, formatShape, mayBeEqual } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { reshaped, staticShape, sumToShapeOf, transposed } from './gradients';
import { commonDType, floatAttribute, intAttribute, invalid, requireRank, type Shape } from './inference';

/** Matrix products. */

/** Shape of a NumPy-style matrix product; inner dimensions must match. Vectors lose their axis, as in NumPy. */
export function matMulShape(name: string, a: Shape, b: Shape): Shape {
  if (a === undefined || b === undefined) return undefined;
  if (a.length === 0 || b.length === 0) throw invalid(`${name} does not accept scalars, got ${formatShape(a)} and ${formatShape(b)}.`);
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const inner = left.at(-1) as Dimension;
  const depth = right.at(-2) as Dimension;
  if (!mayBeEqual(inner, depth))
    throw invalid(
      `${name} needs equal inner dimensions, got ${formatShape(a)} and ${formatShape(b)}: ${String(inner)} is not ${String(depth)}.`,
    );
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) as readonly Dimension[];
  const rows = a.length === 1 ? [] : [left.at(-2) as Dimension];
  const columns = b.length === 1 ? [] : [right.at(-1) as Dimension];
  return [...batch, ...rows, ...columns];
}

/** d/da = dy b^T and d/db = a^T dy, summed over broadcast batch axes; vectors are treated as matrices with an axis of length 1. */
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

/** a^T dy. If b is one matrix for the whole batch, the batch is folded into rows: one large product instead of many and a sum. */
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

/** alpha * A' B' + beta * C for matrices, with optional transposes of A and B. C is broadcast to the result. */
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

/** Transposes the last two axes and, with `transBatch`, moves the first axis after the batch. */
function fusedOperand(shape: Shape, context: InferContext, side: 'A' | 'B'): Shape {
  if (shape === undefined || shape.length < 2) return shape;
  let result = [...shape];
  if (intAttribute(context, `transBatch${side}`, 0) !== 0)
    result = [...result.slice(1, -1), result[0] as Dimension, result.at(-1) as Dimension];
  if (intAttribute(context, `trans${side}`, 0) !== 0)
    result = [...result.slice(0, -2), result.at(-1) as Dimension, result.at(-2) as Dimension];
  return result;
}

/** dA' = alpha dY B'^T and dB' = alpha A'^T dY, each with the transposes fused, summed over broadcast batch axes. */
const fusedMatMulGradient: GradientRule = ({ build, node, inputs, outputGradients: [dy], needs }) => {
  const [a, b] = inputs;
  if (!a || !b || !dy) return [];
  if (staticShape(a).length < 2 || staticShape(b).length < 2)
    throw new LoomweightError('unsupported', 'one of its operands is a vector. Use MatMul.');
  const alpha = float(floatAttribute(node, 'alpha', 1));
  const product = (left: Value, right: Value, transposeLeft: boolean, transposeRight: boolean): Value =>
    build.op(
      'FusedMatMul',
      [left, right],
      { alpha, transA: int(transposeLeft ? 1 : 0), transB: int(transposeRight ? 1 : 0) },
      { domain: 'com.microsoft' },
    );
  const flag = (name: string): boolean => intAttribute(node, name, 0) !== 0;
  // transBatch moves the first axis after the batch: [1, ..., r - 2, 0, r - 1].
  const order = (value: Value, side: 'A' | 'B'): readonly number[] => {
    const axes = staticShape(value).map((_, axis) => axis);
    return flag(`transBatch${side}`) ? [...axes.slice(1, -1), 0, axes.length - 1] : axes;
  };
  const back = (value: Value, forward: readonly number[]): Value =>
    transposed(
      build,
      value,
      forward.map((_, axis) => forward.indexOf(axis)),
    );
  const [orderA, orderB] = [order(a, 'A'), order(b, 'B')];
  const [left, right] = [transposed(build, a, orderA), transposed(build, b, orderB)];
  const [transA, transB] = [flag('transA'), flag('transB')];
  const da = () => sumToShapeOf(build, transA ? product(right, dy, transB, true) : product(dy, right, false, !transB), left);
  const db = () => {
    // One matrix for the whole batch: the batch becomes rows of one large product.
    const fold = !transA && staticShape(right).length === 2;
    const rows = (value: Value): Value => (fold ? reshaped(build, value, [-1, staticShape(value).at(-1) as number]) : value);
    return sumToShapeOf(build, transB ? product(rows(dy), rows(left), true, transA) : product(rows(left), rows(dy), !transA, false), right);
  };
  return [needs(0) ? back(da(), orderA) : undefined, needs(1) ? back(db(), orderB) : undefined];
};

/** TransposeMatMul is the older name. */
const fusedMatMul = (name: string) =>
  defineOp({
    name,
    domain: 'com.microsoft',
    inputs: 2,
    infer: ([a, b], context) => [
      {
        dtype: commonDType([a, b]),
        shape: matMulShape(name, fusedOperand(a.shape, context, 'A'), fusedOperand(b.shape, context, 'B')),
      },
    ],
    gradient: fusedMatMulGradient,
  });

/** Products of float matrices. */
export const matMulOperators = [matMul, gemm, fusedMatMul('FusedMatMul'), fusedMatMul('TransposeMatMul')];
