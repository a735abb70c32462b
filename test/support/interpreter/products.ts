import { elementCount } from '../../../src/protocol/dtypes';
import { numberOf } from './attributes';
import { broadcastShape, indicesOf, mapBroadcast, positionIn } from './broadcast';
import type { ReferenceKernel, ReferenceTensor } from './interpreter';

/** NumPy's matrix product. */
export function matMul(a: ReferenceTensor, b: ReferenceTensor): ReferenceTensor {
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const [rows, depth] = left.slice(-2) as [number, number];
  const columns = right.at(-1) as number;
  const batch = broadcastShape([left.slice(0, -2), right.slice(0, -2)]);
  const data = new Float64Array(elementCount(batch) * rows * columns);
  for (let matrix = 0; matrix < elementCount(batch); matrix += 1) {
    const at = indicesOf(matrix, batch);
    for (let row = 0; row < rows; row += 1)
      for (let column = 0; column < columns; column += 1) {
        let sum = 0;
        for (let inner = 0; inner < depth; inner += 1)
          sum += (a.data[positionIn(left, [...at, row, inner])] as number) * (b.data[positionIn(right, [...at, inner, column])] as number);
        data[(matrix * rows + row) * columns + column] = sum;
      }
  }
  const shape = [...batch, ...(a.shape.length === 1 ? [] : [rows]), ...(b.shape.length === 1 ? [] : [columns])];
  return { dtype: a.dtype, shape, data };
}

/** The tensor with its last two axes swapped. */
function swapped(x: ReferenceTensor): ReferenceTensor {
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const data = new Float64Array(x.data.length);
  x.data.forEach((value, position) => {
    const [matrix, inner] = [Math.floor(position / (rows * columns)), position % (rows * columns)];
    data[matrix * rows * columns + (inner % columns) * rows + Math.floor(inner / columns)] = value;
  });
  return { dtype: x.dtype, shape: [...x.shape.slice(0, -2), columns, rows], data };
}

/** [a, ..., b, c] as [..., b, a, c]: what transBatch says of the first axis. */
function batchMoved(x: ReferenceTensor): ReferenceTensor {
  const shape = [...x.shape.slice(1, -1), x.shape[0] as number, x.shape.at(-1) as number];
  const data = new Float64Array(x.data.length);
  x.data.forEach((value, position) => {
    const indices = indicesOf(position, x.shape);
    data[positionIn(shape, [...indices.slice(1, -1), indices[0] as number, indices.at(-1) as number])] = value;
  });
  return { dtype: x.dtype, shape, data };
}

const gemm: ReferenceKernel = ([a, b, c], context) => {
  const [alpha, beta] = [numberOf(context, 'alpha', 1), numberOf(context, 'beta', 1)];
  const left = numberOf(context, 'transA', 0) !== 0 ? swapped(a as ReferenceTensor) : (a as ReferenceTensor);
  const right = numberOf(context, 'transB', 0) !== 0 ? swapped(b as ReferenceTensor) : (b as ReferenceTensor);
  const product = matMul(left, right);
  return [c ? mapBroadcast([product, c], (y = 0, add = 0) => alpha * y + beta * add) : mapBroadcast([product], (y = 0) => alpha * y)];
};

const fusedMatMul: ReferenceKernel = ([a, b], context) => {
  const operand = (x: ReferenceTensor, side: 'A' | 'B'): ReferenceTensor => {
    const moved = numberOf(context, `transBatch${side}`, 0) !== 0 ? batchMoved(x) : x;
    return numberOf(context, `trans${side}`, 0) !== 0 ? swapped(moved) : moved;
  };
  const alpha = numberOf(context, 'alpha', 1);
  return [mapBroadcast([matMul(operand(a as ReferenceTensor, 'A'), operand(b as ReferenceTensor, 'B'))], (y = 0) => alpha * y)];
};

/** Codes lowest bits first in each byte; blocks along K with a scale each; without zero points the middle of the range is 0. */
const matMulNBits: ReferenceKernel = ([a, packed, scales, zeroPoints], context) => {
  const [depth, columns] = [numberOf(context, 'K', 0), numberOf(context, 'N', 0)];
  const [bits, block] = [numberOf(context, 'bits', 4), numberOf(context, 'block_size', 32)];
  const blocks = Math.ceil(depth / block);
  const code = (data: Float64Array, index: number): number => {
    const perByte = 8 / bits;
    return ((data[Math.floor(index / perByte)] as number) >> (bits * (index % perByte))) & (2 ** bits - 1);
  };
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const weights = new Float64Array(depth * columns);
  for (let n = 0; n < columns; n += 1)
    for (let k = 0; k < depth; k += 1) {
      const group = Math.floor(k / block);
      const zero = zeroPoints ? code(zeroPoints.data.subarray(n * zeroBytes), group) : 2 ** (bits - 1);
      const value = code((packed as ReferenceTensor).data, n * blocks * block + k);
      weights[k * columns + n] = (value - zero) * ((scales as ReferenceTensor).data[n * blocks + group] as number);
    }
  return [matMul(a as ReferenceTensor, { dtype: 'float32', shape: [depth, columns], data: weights })];
};

/** Reference kernels of the matrix products. */
export const productKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':MatMul': ([a, b]) => [matMul(a as ReferenceTensor, b as ReferenceTensor)],
  ':Gemm': gemm,
  'com.microsoft:FusedMatMul': fusedMatMul,
  'com.microsoft:TransposeMatMul': fusedMatMul,
  'com.microsoft:MatMulNBits': matMulNBits,
};
