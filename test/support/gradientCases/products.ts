import { float, int } from '../../../src/engine/graph/builder';
import { drawn, type GradientCase, type GradientInput } from './gradientCase';

const ms = 'com.microsoft';
const codes = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => (index * 37 + 11) % 256);
const packed = (...shape: number[]): GradientInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype: 'uint8', shape, bytes: Uint8Array.from(codes(shape.reduce((a, b) => a * b, 1))) },
});
const scales = (...shape: number[]): GradientInput => {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, (_, index) => 0.01 + 0.003 * index);
  return { kind: 'constant', data: { kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) } };
};
const einsum = (equation: string, ...inputs: GradientInput[]): GradientCase => ({
  op: 'Einsum',
  inputs,
  attributes: { equation },
  note: equation,
});

/** Matrix products and sums of products. */
export const productCases: readonly GradientCase[] = [
  { op: 'MatMul', inputs: [drawn(3, 4), drawn(4, 5)] },
  { op: 'MatMul', inputs: [drawn(2, 1, 3, 4), drawn(5, 4, 6)] },
  { op: 'MatMul', inputs: [drawn(2, 3, 4), drawn(4, 5)] },
  { op: 'MatMul', inputs: [drawn(4), drawn(4, 5)] },
  { op: 'MatMul', inputs: [drawn(2, 3, 4), drawn(4)] },
  { op: 'MatMul', inputs: [drawn(4), drawn(4)] },
  { op: 'Gemm', inputs: [drawn(3, 4), drawn(4, 5), drawn(5)] },
  { op: 'Gemm', inputs: [drawn(4, 3), drawn(4, 5), drawn(3, 1)], attributes: { transA: int(1), alpha: float(0.5), beta: float(2) } },
  { op: 'Gemm', inputs: [drawn(3, 4), drawn(5, 4), drawn(1, 5)], attributes: { transB: int(1), alpha: float(1.5) } },
  { op: 'Gemm', inputs: [drawn(4, 3), drawn(5, 4)], attributes: { transA: int(1), transB: int(1) } },
  { op: 'Gemm', inputs: [drawn(3, 4), drawn(4, 5), drawn()] },
];
