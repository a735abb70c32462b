import type { DType } from '../../src/protocol/dtypes';
import { float, int, ints, type AttributeInput } from '../../src/engine/graph/builder';
import type { ConstantData } from '../../src/engine/graph/types';

/** One input of an operator under test: fed at run time, a constant of the graph, or left out. */
export type CaseInput =
  | { readonly kind: 'fed'; readonly dtype: DType; readonly shape: readonly number[]; readonly values?: readonly number[] }
  | { readonly kind: 'constant'; readonly data: ConstantData }
  | undefined;

/** A node that the runtime runs; inferred types are compared with what comes out. */
export interface OperatorCase {
  readonly op: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly inputs: readonly CaseInput[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly outputs?: number;
}

/** A float32 input with seeded values between 0.1 and 0.9. */
export const f = (...shape: number[]): CaseInput => ({ kind: 'fed', dtype: 'float32', shape });
/** An input of another type. */
export const of = (dtype: DType, shape: readonly number[], values?: readonly number[]): CaseInput =>
  values === undefined ? { kind: 'fed', dtype, shape } : { kind: 'fed', dtype, shape, values };
/** A constant int64 vector, or a scalar. */
export const c = (values: readonly number[] | number): CaseInput => ({
  kind: 'constant',
  data: {
    kind: 'inline',
    dtype: 'int64',
    shape: typeof values === 'number' ? [] : [values.length],
    bytes: new Uint8Array(BigInt64Array.from((typeof values === 'number' ? [values] : values).map(BigInt)).buffer),
  },
});
/** The int64 vector fed at run time instead: the rule cannot see it. */
export const fed = (values: readonly number[]): CaseInput => ({ kind: 'fed', dtype: 'int64', shape: [values.length], values });
/** Constant bytes of any type. */
export const bytes = (dtype: DType, shape: readonly number[], values: readonly number[]): CaseInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype, shape, bytes: Uint8Array.from(values) },
});
/** A constant float32 tensor. */
export const constantFloat = (shape: readonly number[], values: readonly number[]): CaseInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) },
});

const ms = 'com.microsoft';
const each = (names: string, inputs: readonly CaseInput[], more: Partial<OperatorCase> = {}): OperatorCase[] =>
  names.split(' ').map((op) => ({ op, inputs, ...more }));
const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);

/** The rows of the table, by family. */
export const operatorCases: readonly OperatorCase[] = [
  // Element-wise, with broadcasting.
  ...each('Add Sub Mul Div', [f(2, 3), f(3)]),
  ...each('Add Sub Mul Div', [f(4, 1), f(1, 5)]),
  ...each('Add Sub Mul Div Pow', [f(), f(7)]),
  ...each('Add Mul', [of('int64', [2, 3]), of('int64', [2, 1])]),
  ...each('Equal Less LessOrEqual Greater GreaterOrEqual', [f(2, 1, 3), f(4, 1)]),
  ...each('And Or Xor', [of('bool', [2, 3]), of('bool', [3])]),
  ...each('Min Max Sum Mean', [f(2, 3), f(3), f(5, 1, 1)]),
  ...each('Abs Neg Sign Relu Identity Sqrt Reciprocal Exp Log Erf Floor Ceil Round Sigmoid Tanh Gelu', [f(2, 3)]),
  ...each('Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Atanh', [f(2, 3)]),
  ...each('Acosh', [of('float32', [2], [1.5, 2])]),
  ...each('LeakyRelu Elu Selu Celu ThresholdedRelu HardSigmoid HardSwish Mish Softplus Softsign Shrink', [f(2, 3)]),
  ...each('Swish', [f(2, 3)], { opset: 24 }),
  ...each('IsNaN IsInf', [f(2, 3)]),
  ...each('Not', [of('bool', [2, 3])]),
  ...each('BitwiseAnd BitwiseOr BitwiseXor', [of('int32', [2, 3]), of('int32', [3])]),
  ...each('BitwiseNot', [of('int32', [2, 3])]),
  { op: 'BitShift', inputs: [of('uint8', [2, 3]), of('uint8', [3])], attributes: { direction: 'LEFT' } },
  { op: 'Mod', inputs: [of('int64', [2, 3]), of('int64', [3], [2, 3, 4])] },
  { op: 'Mod', inputs: [f(2, 3), f(3)], attributes: { fmod: int(1) } },
  { op: 'Pow', inputs: [f(2, 3), of('int64', [3])] },
  { op: 'Clip', inputs: [f(2, 3), constantFloat([], [0.2]), constantFloat([], [0.5])] },
  { op: 'Clip', inputs: [f(2, 3), undefined, constantFloat([], [0.5])] },
  { op: 'Where', inputs: [of('bool', [2, 1]), f(3), f(4, 1, 1)] },
  { op: 'PRelu', inputs: [f(2, 3), f(3)] },
  { op: 'QuickGelu', domain: ms, inputs: [f(2, 3)], attributes: { alpha: float(1) } },
  { op: 'Gelu', domain: ms, inputs: [f(2, 3)] },
  { op: 'BiasGelu', domain: ms, inputs: [f(2, 3), f(3)] },
  { op: 'FastGelu', domain: ms, inputs: [f(2, 3), f(3)] },
  { op: 'GatedAdd', domain: ms, inputs: [f(2, 3), f(2, 3), f(2, 1)] },
  // Products.
  { op: 'MatMul', inputs: [f(2, 3, 4), f(4, 5)] },
  { op: 'MatMul', inputs: [f(2, 1, 3, 4), f(5, 4, 6)] },
  { op: 'MatMul', inputs: [f(4), f(4, 5)] },
  { op: 'MatMul', inputs: [f(2, 3, 4), f(4)] },
  { op: 'MatMul', inputs: [f(4), f(4)] },
  { op: 'Gemm', inputs: [f(3, 4), f(4, 5), f(5)] },
  { op: 'Gemm', inputs: [f(4, 3), f(5, 4)], attributes: { transA: int(1), transB: int(1) } },
  { op: 'TransposeMatMul', domain: ms, inputs: [f(4, 3), f(4, 5)], attributes: { transA: int(1) } },
  { op: 'FusedMatMul', domain: ms, inputs: [f(2, 4, 3), f(2, 5, 4)], attributes: { transA: int(1), transB: int(1), alpha: float(0.5) } },
  {
    op: 'MatMulNBits',
    domain: ms,
    inputs: [f(2, 3, 40), bytes('uint8', [6, 2, 16], zeros(192)), constantFloat([6, 2], zeros(12))],
    attributes: { K: int(40), N: int(6), bits: int(4), block_size: int(32) },
  },
  { op: 'MatMulInteger', inputs: [of('uint8', [3, 4]), of('int8', [4, 5])] },
  {
    op: 'QLinearMatMul',
    inputs: [
      of('uint8', [3, 4]),
      constantFloat([], [0.1]),
      bytes('uint8', [], [3]),
      of('uint8', [4, 5]),
      constantFloat([], [0.1]),
      bytes('uint8', [], [3]),
      constantFloat([], [0.2]),
      bytes('uint8', [], [3]),
    ],
  },
  { op: 'DynamicQuantizeMatMul', domain: ms, inputs: [f(3, 4), bytes('uint8', [4, 5], zeros(20)), constantFloat([1], [0.1])] },
  {
    op: 'GatherBlockQuantized',
    domain: ms,
    inputs: [bytes('uint8', [7, 32], zeros(224)), of('int64', [2, 3], [0, 1, 2, 3, 4, 5]), constantFloat([7, 1], zeros(7))],
    attributes: { bits: int(8), block_size: int(32), gather_axis: int(0), quantize_axis: int(1) },
  },
  {
    op: 'GatherBlockQuantized',
    domain: ms,
    inputs: [bytes('uint8', [7, 32], zeros(224)), of('int64', [2], [0, 6]), constantFloat([7, 2], zeros(14))],
    attributes: { bits: int(4), block_size: int(32), gather_axis: int(0), quantize_axis: int(1) },
  },
  { op: 'Einsum', inputs: [f(2, 3, 4), f(2, 4, 5)], attributes: { equation: 'bij,bjk->bik' } },
  { op: 'Einsum', inputs: [f(3, 4)], attributes: { equation: 'ij->ji' } },
  { op: 'Einsum', inputs: [f(2, 3, 4), f(4, 5)], attributes: { equation: '...ij,jk->...ik' } },
  { op: 'Einsum', inputs: [f(3, 4), f(4, 5)], attributes: { equation: 'ij,jk' } },
  // Reductions and operators along an axis.
  ...each('ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp', [
    f(2, 3, 4),
    c([-1]),
  ]),
  { op: 'ReduceSum', inputs: [f(2, 3, 4), c([0, 2])], attributes: { keepdims: int(0) } },
  { op: 'ReduceMean', inputs: [f(2, 3, 4)], attributes: { keepdims: int(0) } },
  { op: 'ReduceMean', inputs: [f(2, 3, 4), fed([1])] },
  { op: 'ReduceSum', inputs: [f(2, 3), c([])], attributes: { noop_with_empty_axes: int(1) } },
  { op: 'ReduceMean', opset: 13, inputs: [f(2, 3, 4)], attributes: { axes: ints([1]) } },
  { op: 'ArgMax', inputs: [f(2, 3, 4)], attributes: { axis: int(1), keepdims: int(0) } },
  { op: 'ArgMin', inputs: [f(2, 3, 4)], attributes: { axis: int(-1) } },
  { op: 'TopK', inputs: [f(2, 5), c([3])], outputs: 2 },
  { op: 'TopK', inputs: [f(2, 5), fed([2])], attributes: { axis: int(1) }, outputs: 2 },
  ...each('Softmax LogSoftmax Hardmax', [f(2, 3)]),
  { op: 'CumSum', inputs: [f(2, 3), c(1)] },
  { op: 'NegativeLogLikelihoodLoss', inputs: [f(4, 3), of('int64', [4], [0, 1, 2, 0])] },
  { op: 'NegativeLogLikelihoodLoss', inputs: [f(4, 3, 2), of('int64', [4, 2])], attributes: { reduction: 'none' } },
  { op: 'SoftmaxCrossEntropyLoss', inputs: [f(4, 3), of('int64', [4], [0, 1, 2, 0])], outputs: 2 },
  // Rearranging.
  { op: 'Reshape', inputs: [f(2, 3, 8), c([0, 0, 2, 4])] },
  { op: 'Reshape', inputs: [f(2, 3, 8), c([0, -1])] },
  { op: 'Reshape', inputs: [f(2, 3, 8), c([-1, 8])] },
  { op: 'Reshape', inputs: [f(2, 3, 8), c([48])] },
  { op: 'Reshape', inputs: [f(2, 3, 8), fed([6, 8])] },
  { op: 'Reshape', inputs: [f(0, 3), c([3, 0])], attributes: { allowzero: int(1) } },
  { op: 'Transpose', inputs: [f(2, 3, 4)], attributes: { perm: ints([2, 0, 1]) } },
  { op: 'Transpose', inputs: [f(2, 3, 4)] },
  { op: 'Flatten', inputs: [f(2, 3, 4)], attributes: { axis: int(2) } },
  { op: 'Flatten', inputs: [f(2, 3, 4)] },
  { op: 'Unsqueeze', inputs: [f(2, 3), c([0, 3])] },
  { op: 'Unsqueeze', opset: 11, inputs: [f(2, 3)], attributes: { axes: ints([1]) } },
  { op: 'Squeeze', inputs: [f(2, 1, 3, 1), c([1, -1])] },
  { op: 'Squeeze', inputs: [f(2, 1, 3, 1)] },
  { op: 'Concat', inputs: [f(2, 3), f(2, 5), f(2, 1)], attributes: { axis: int(1) } },
  { op: 'Concat', inputs: [f(2, 3), f(4, 3)], attributes: { axis: int(-2) } },
  { op: 'Split', inputs: [f(2, 7), c([3, 4])], attributes: { axis: int(1) }, outputs: 2 },
  { op: 'Split', inputs: [f(2, 7)], attributes: { axis: int(1), num_outputs: int(3) }, outputs: 3 },
  { op: 'Split', inputs: [f(6, 2), fed([2, 4])], outputs: 2 },
  { op: 'Slice', inputs: [f(5, 6), c([1]), c([4]), c([0])] },
  { op: 'Slice', inputs: [f(5, 6), c([-1]), c([2 ** 31 - 1]), c([1])] },
  { op: 'Slice', inputs: [f(5, 6), c([4, 0]), c([-(2 ** 31), 9]), c([0, 1]), c([-2, 4])] },
  { op: 'Slice', inputs: [f(5, 6), fed([1, 2]), fed([3, 5])] },
  { op: 'Slice', inputs: [f(5, 6), fed([1]), fed([3]), c([1])] },
  { op: 'Slice', opset: 9, inputs: [f(5, 6)], attributes: { starts: ints([1]), ends: ints([-1]), axes: ints([1]) } },
  { op: 'Expand', inputs: [f(3, 1), c([2, 1, 4])] },
  { op: 'Expand', inputs: [f(3, 1), fed([2, 3, 4])] },
  { op: 'Tile', inputs: [f(2, 3), c([2, 4])] },
  { op: 'DepthToSpace', inputs: [f(1, 8, 2, 3)], attributes: { blocksize: int(2) } },
  { op: 'SpaceToDepth', inputs: [f(1, 2, 4, 6)], attributes: { blocksize: int(2) } },
  { op: 'Trilu', inputs: [f(3, 4), c(1)], attributes: { upper: int(1) } },
  { op: 'Pad', inputs: [f(2, 3), c([0, 1, 2, 3])] },
  { op: 'Pad', inputs: [f(2, 3, 4), c([1, 2]), undefined, c([1])] },
  // By index.
  { op: 'Gather', inputs: [f(5, 6), of('int64', [2, 3], [0, 1, 2, 3, 4, 0])] },
  { op: 'Gather', inputs: [f(5, 6), c(2)], attributes: { axis: int(1) } },
  { op: 'GatherElements', inputs: [f(5, 6), of('int64', [5, 2], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4])], attributes: { axis: int(1) } },
  { op: 'GatherND', inputs: [f(5, 6, 7), of('int64', [3, 2], [0, 1, 2, 3, 4, 0])] },
  { op: 'GatherND', inputs: [f(2, 6, 7), of('int64', [2, 1], [0, 1])], attributes: { batch_dims: int(1) } },
  { op: 'ScatterElements', inputs: [f(5, 6), of('int64', [2, 6]), f(2, 6)], attributes: { reduction: 'add' } },
  { op: 'ScatterND', inputs: [f(5, 6), of('int64', [2, 1], [0, 3]), f(2, 6)] },
  { op: 'TensorScatter', opset: 24, inputs: [f(2, 3, 8, 4), f(2, 3, 2, 4), of('int64', [2])] },
  { op: 'OneHot', inputs: [of('int64', [2, 3]), c([4]), constantFloat([2], [0, 1])] },
  { op: 'OneHot', inputs: [of('int64', [2, 3]), c([4]), constantFloat([2], [0, 1])], attributes: { axis: int(0) } },
  { op: 'NonZero', inputs: [f(2, 3)] },
  { op: 'Compress', inputs: [f(2, 3), of('bool', [2], [1, 0])], attributes: { axis: int(0) } },
  { op: 'Compress', inputs: [f(2, 3), of('bool', [5], [1, 0, 1, 0, 1])] },
  { op: 'Compress', inputs: [f(2, 3), bytes('bool', [5], [1, 0, 1, 0, 1])] },
  {
    op: 'ReverseSequence',
    inputs: [f(4, 3, 2), of('int64', [3], [4, 1, 3])],
    attributes: { time_axis: int(0), batch_axis: int(1) },
  },
  // Sources and casts.
  { op: 'Constant', inputs: [], attributes: { value_ints: ints([1, 2, 3]) } },
  { op: 'Constant', inputs: [], attributes: { value_float: float(1) } },
  {
    op: 'Constant',
    inputs: [],
    attributes: { value: { kind: 'tensor', value: { kind: 'inline', dtype: 'uint8', shape: [2, 2], bytes: Uint8Array.of(1, 2, 3, 4) } } },
  },
  { op: 'ConstantOfShape', inputs: [c([2, 3])] },
  { op: 'ConstantOfShape', inputs: [fed([2, 3])] },
  { op: 'Range', inputs: [c(2), c(9), c(3)] },
  { op: 'Range', inputs: [c(9), c(2), c(-2)] },
  { op: 'Shape', inputs: [f(2, 3, 4)] },
  { op: 'Shape', inputs: [f(2, 3, 4)], attributes: { start: int(-2), end: int(9) } },
  { op: 'Size', inputs: [f(2, 3, 4)] },
  { op: 'Cast', inputs: [f(2, 3)], attributes: { to: int(7) } },
  { op: 'Cast', inputs: [of('uint8', [2, 3])], attributes: { to: int(9) } },
  { op: 'CastLike', inputs: [f(2, 3), of('int32', [1])] },
  { op: 'BitCast', opset: 26, inputs: [f(2, 3)], attributes: { to: int(6) } },
  { op: 'EyeLike', inputs: [f(3, 3)], attributes: { dtype: int(11) } },
  { op: 'RandomNormal', inputs: [], attributes: { shape: ints([2, 3]), seed: float(1) } },
  { op: 'RandomUniform', inputs: [], attributes: { shape: ints([2, 3]), seed: float(1) } },
  { op: 'RandomUniformLike', inputs: [f(2, 3)] },
  { op: 'RandomNormalLike', inputs: [f(2, 3)], attributes: { dtype: int(11) } },
  { op: 'Bernoulli', inputs: [f(2, 3)] },
  { op: 'Multinomial', inputs: [f(2, 3)], attributes: { sample_size: int(5), dtype: int(7) } },
  { op: 'Dropout', inputs: [f(2, 3)], outputs: 2 },
  { op: 'Unique', inputs: [of('int64', [5], [3, 1, 3, 2, 1])], outputs: 4 },
  // Normalisation.
  { op: 'LayerNormalization', inputs: [f(2, 3, 4), f(4), f(4)], outputs: 3 },
  { op: 'RMSNormalization', opset: 23, inputs: [f(2, 3, 4), f(4)] },
  { op: 'SimplifiedLayerNormalization', inputs: [f(2, 3, 4), f(4)] },
  { op: 'SkipSimplifiedLayerNormalization', domain: ms, inputs: [f(2, 3, 4), f(2, 3, 4), f(4)] },
  { op: 'SkipLayerNormalization', domain: ms, inputs: [f(2, 3, 4), f(2, 3, 4), f(4), f(4)] },
  { op: 'BatchNormalization', inputs: [f(2, 3, 4), f(3), f(3), f(3), f(3)] },
  { op: 'InstanceNormalization', inputs: [f(2, 3, 4), f(3), f(3)] },
  { op: 'GroupNormalization', inputs: [f(2, 4, 5), f(4), f(4)], attributes: { num_groups: int(2) } },
  { op: 'LpNormalization', inputs: [f(2, 3)] },
  { op: 'MeanVarianceNormalization', inputs: [f(2, 3, 4, 5)] },
  { op: 'LRN', inputs: [f(2, 3, 4, 5)], attributes: { size: int(3) } },
  // Recurrent layers.
  { op: 'LSTM', inputs: [f(5, 2, 3), f(1, 16, 3), f(1, 16, 4), f(1, 32)], attributes: { hidden_size: int(4) }, outputs: 3 },
  {
    op: 'LSTM',
    inputs: [f(5, 2, 3), f(2, 16, 3), f(2, 16, 4)],
    attributes: { hidden_size: int(4), direction: 'bidirectional' },
    outputs: 3,
  },
  { op: 'GRU', inputs: [f(5, 2, 3), f(1, 12, 3), f(1, 12, 4)], attributes: { hidden_size: int(4) }, outputs: 2 },
  { op: 'RNN', inputs: [f(5, 2, 3), f(1, 4, 3), f(1, 4, 4)], attributes: { hidden_size: int(4) }, outputs: 2 },
  // Attention.
  { op: 'Attention', opset: 24, inputs: [f(2, 8, 3, 4), f(2, 4, 5, 4), f(2, 4, 5, 6)] },
  {
    op: 'Attention',
    opset: 24,
    inputs: [f(2, 3, 32), f(2, 3, 16), f(2, 3, 16), undefined, f(2, 4, 5, 4), f(2, 4, 5, 4)],
    attributes: { q_num_heads: int(8), kv_num_heads: int(4), is_causal: int(1) },
    outputs: 3,
  },
  {
    op: 'RotaryEmbedding',
    opset: 23,
    inputs: [f(2, 3, 32), f(10, 4), f(10, 4), of('int64', [2, 3])],
    attributes: { num_heads: int(4) },
  },
  { op: 'RotaryEmbedding', opset: 23, inputs: [f(2, 4, 3, 8), f(10, 4), f(10, 4), of('int64', [2, 3])] },
  {
    op: 'RotaryEmbedding',
    domain: ms,
    inputs: [f(2, 4, 3, 8), of('int64', [2, 3]), f(10, 4), f(10, 4)],
  },
  {
    op: 'GroupQueryAttention',
    domain: ms,
    inputs: [f(2, 1, 32), f(2, 1, 16), f(2, 1, 16), f(2, 2, 5, 8), f(2, 2, 5, 8), of('int32', [2], [5, 5]), of('int32', [], [6])],
    attributes: { num_heads: int(4), kv_num_heads: int(2) },
    outputs: 3,
  },
  {
    op: 'GroupQueryAttention',
    domain: ms,
    inputs: [f(2, 3, 64), undefined, undefined, f(2, 2, 0, 8), f(2, 2, 0, 8), of('int32', [2], [2, 2]), of('int32', [], [3])],
    attributes: { num_heads: int(4), kv_num_heads: int(2) },
    outputs: 3,
  },
  {
    op: 'MultiHeadAttention',
    domain: ms,
    inputs: [f(2, 3, 16), f(2, 5, 16), f(2, 5, 24)],
    attributes: { num_heads: int(4) },
  },
  {
    op: 'MultiHeadAttention',
    domain: ms,
    inputs: [f(2, 3, 16), f(2, 3, 16), f(2, 3, 16), undefined, undefined, undefined, f(2, 4, 5, 4), f(2, 4, 5, 4)],
    attributes: { num_heads: int(4) },
    outputs: 3,
  },
  { op: 'Attention', domain: ms, inputs: [f(2, 3, 16), f(16, 48), f(48)], attributes: { num_heads: int(4) } },
  // Quantisation.
  { op: 'QuantizeLinear', inputs: [f(2, 3), constantFloat([], [0.1]), bytes('uint8', [], [3])] },
  { op: 'QuantizeLinear', inputs: [f(2, 3), constantFloat([3], [0.1, 0.2, 0.3])], attributes: { output_dtype: int(3) } },
  { op: 'DequantizeLinear', inputs: [of('uint8', [2, 3]), constantFloat([2], [0.1, 0.2])], attributes: { axis: int(0) } },
  {
    op: 'DequantizeLinear',
    inputs: [bytes('uint4', [5, 4], zeros(10)), constantFloat([3, 4], zeros(12))],
    attributes: { axis: int(0), block_size: int(2) },
  },
  { op: 'DynamicQuantizeLinear', inputs: [f(2, 3)], outputs: 3 },
  // Convolutions and pools.
  { op: 'Conv', inputs: [f(2, 3, 9, 8), f(6, 3, 3, 2), f(6)], attributes: { strides: ints([2, 1]), pads: ints([1, 0, 1, 1]) } },
  { op: 'Conv', inputs: [f(2, 4, 9), f(6, 2, 3)], attributes: { group: int(2), dilations: ints([2]) } },
  { op: 'Conv', inputs: [f(1, 3, 7, 7), f(2, 3, 3, 3)], attributes: { auto_pad: 'SAME_UPPER', strides: ints([2, 2]) } },
  {
    op: 'ConvTranspose',
    inputs: [f(1, 4, 5, 5), f(4, 3, 3, 3)],
    attributes: { strides: ints([2, 2]), pads: ints([1, 1, 1, 1]), output_padding: ints([1, 1]), group: int(2) },
  },
  { op: 'ConvInteger', inputs: [of('uint8', [1, 2, 5, 5]), of('uint8', [3, 2, 3, 3])] },
  { op: 'MaxPool', inputs: [f(1, 2, 7, 7)], attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) }, outputs: 2 },
  { op: 'MaxPool', inputs: [f(1, 2, 7, 7)], attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]), ceil_mode: int(1) } },
  { op: 'AveragePool', inputs: [f(1, 2, 8, 8)], attributes: { kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1]) } },
  ...each('GlobalAveragePool GlobalMaxPool', [f(2, 3, 4, 5)]),
  { op: 'Resize', inputs: [f(1, 2, 4, 4), undefined, constantFloat([4], [1, 1, 2, 1.5])] },
  { op: 'Resize', inputs: [f(1, 2, 4, 4), undefined, undefined, c([1, 2, 6, 7])] },
  {
    op: 'MaxUnpool',
    inputs: [f(1, 1, 2, 2), of('int64', [1, 1, 2, 2], [0, 3, 8, 10])],
    attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) },
  },
  { op: 'LpPool', inputs: [f(1, 2, 7, 7)], attributes: { kernel_shape: ints([2, 2]) } },
  { op: 'GlobalLpPool', inputs: [f(1, 2, 7, 7)] },
  { op: 'Scatter', opset: 10, inputs: [f(5, 6), of('int64', [2, 6]), f(2, 6)] },
  { op: 'QuantizeLinear', domain: ms, inputs: [f(2, 3), constantFloat([], [0.1]), bytes('uint8', [], [3])] },
  { op: 'DequantizeLinear', domain: ms, inputs: [of('uint8', [2, 3]), constantFloat([], [0.1]), bytes('uint8', [], [3])] },
  { op: 'FusedConv', domain: ms, inputs: [f(1, 2, 7, 7), f(3, 2, 3, 3), f(3)], attributes: { activation: 'Relu' } },
  {
    op: 'MatMulIntegerToFloat',
    domain: ms,
    inputs: [of('uint8', [3, 4]), of('uint8', [4, 5]), constantFloat([], [0.1]), constantFloat([], [0.1])],
  },
];
