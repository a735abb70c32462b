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
  { op: 'FusedMatMul', domain: ms, inputs: [drawn(2, 3, 4), drawn(4, 5)], attributes: { alpha: float(0.5) } },
  { op: 'FusedMatMul', domain: ms, inputs: [drawn(2, 3, 4), drawn(5, 4)], attributes: { transB: int(1) } },
  { op: 'FusedMatMul', domain: ms, inputs: [drawn(2, 4, 3), drawn(2, 5, 4)], attributes: { transA: int(1), transB: int(1) } },
  { op: 'FusedMatMul', domain: ms, inputs: [drawn(2, 4, 3), drawn(4, 5)], attributes: { transA: int(1), alpha: float(2) } },
  { op: 'FusedMatMul', domain: ms, inputs: [drawn(3, 2, 4), drawn(2, 4, 5)], attributes: { transBatchA: int(1) } },
  {
    op: 'FusedMatMul',
    domain: ms,
    inputs: [drawn(3, 2, 6, 4), drawn(5, 2, 6, 4)],
    attributes: { transBatchA: int(1), transBatchB: int(1), transB: int(1) },
  },
  { op: 'TransposeMatMul', domain: ms, inputs: [drawn(4, 3), drawn(4, 5)], attributes: { transA: int(1) } },
  ...[2, 4, 8].flatMap((bits): readonly GradientCase[] => {
    const attributes = { K: int(40), N: int(6), bits: int(bits), block_size: int(16) };
    const weights = [packed(6, 3, 2 * bits), scales(6, 3)];
    return [
      { op: 'MatMulNBits', domain: ms, inputs: [drawn(2, 3, 40), ...weights], attributes, note: `${bits} bits` },
      {
        op: 'MatMulNBits',
        domain: ms,
        inputs: [drawn(2, 3, 40), ...weights, packed(6, Math.ceil((3 * bits) / 8))],
        attributes,
        note: `${bits} bits, zero points`,
      },
    ];
  }),
  einsum('ij,jk->ik', drawn(3, 4), drawn(4, 5)),
  einsum('bij,bjk->bik', drawn(2, 3, 4), drawn(2, 4, 5)),
  einsum('ij->ji', drawn(3, 4)),
  einsum('ij->i', drawn(3, 4)),
  einsum('ij,kl->il', drawn(3, 4), drawn(2, 5)),
  einsum('ij,jk', drawn(3, 4), drawn(4, 5)),
  einsum('i,j->ij', drawn(3), drawn(4)),
  einsum('i,i->', drawn(5), drawn(5)),
  einsum('bhqd,bhkd->bhqk', drawn(2, 2, 3, 4), drawn(2, 2, 5, 4)),
  einsum('bqhd,bkhd->bhqk', drawn(2, 3, 2, 4), drawn(2, 5, 2, 4)),
  einsum('ia,jb,ab->ij', drawn(3, 2), drawn(4, 5), drawn(2, 5)),
  einsum('...ij,jk->...ik', drawn(2, 3, 4), drawn(4, 5)),
  einsum('...ij,...jk->...ik', drawn(2, 1, 3, 4), drawn(2, 5, 4, 6)),
];
