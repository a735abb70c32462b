import { int } from '../../graph/builder';
import type { TapKind } from './tap';

/**
 * Gram matrix of a layer's inputs over all tokens: X^T X, [columns, columns], not divided by the number of tokens. Products are float32 within a
 * run; runs are added in float64. Exactly symmetric: kernels may round the two halves differently, so the upper one is taken for both.
 */
export const gram: TapKind = {
  id: 'gram',
  summary: "Gram matrix of a layer's inputs, summed over tokens.",
  shape: (columns) => [columns, columns],
  sum: (build, rows) => build.op('Gemm', [rows, rows], { transA: int(1) }),
  finish: mirrorUpper,
};

/** Side of the squares that are copied together, so that both halves stay in the cache. */
const tile = 64;

function mirrorUpper(sum: Float64Array): Float64Array {
  const columns = Math.sqrt(sum.length);
  for (let top = 0; top < columns; top += tile)
    for (let left = top; left < columns; left += tile)
      for (let row = top; row < Math.min(top + tile, columns); row += 1)
        for (let column = Math.max(left, row + 1); column < Math.min(left + tile, columns); column += 1)
          sum[column * columns + row] = sum[row * columns + column] as number;
  return sum;
}
