import { elementCount } from '../../../src/protocol/dtypes';
import { broadcastShape, indicesOf, positionIn } from './broadcast';
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

/** Reference kernels of the matrix products. */
export const productKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':MatMul': ([a, b]) => [matMul(a as ReferenceTensor, b as ReferenceTensor)],
};
