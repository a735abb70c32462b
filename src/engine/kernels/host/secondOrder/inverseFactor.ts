import { subtractProduct } from './subtractProduct';

/** Rows and columns of the blocks that are factored together. */
const blockSize = 64;

/**
 * Replaces a symmetric positive definite H [size, size], float64 row-major, by the upper triangular U with H^-1 = U^T U, zeros below its diagonal. False if a pivot is not a
 * positive finite number: H is not positive definite to working precision, and its values are lost.
 *
 * H = M M^T with M upper triangular is the Cholesky factorisation of H with rows and columns in reverse order; then U = M^-1. This needs neither the inverse of H nor a
 * second factorisation of it, and no memory beside H. Blocked; size^3 / 3 multiply-adds.
 */
export function inverseFactor(matrix: Float64Array, size: number): boolean {
  // Reading the matrix from its end puts rows and columns in reverse order.
  matrix.reverse();
  if (!factor(matrix, size)) return false;
  invertLower(matrix, size);
  matrix.reverse();
  return true;
}

/** Cholesky in place: the lower triangle of `matrix` becomes L with L L^T = matrix, the upper one 0. False if the matrix is not positive definite. */
function factor(matrix: Float64Array, size: number): boolean {
  const panelTurned = new Float64Array(blockSize * size);
  for (let from = 0; from < size; from += blockSize) {
    const to = Math.min(from + blockSize, size);
    const width = to - from;
    for (let row = from; row < size; row += 1) {
      const start = row * size;
      for (let column = from; column < Math.min(row + 1, to); column += 1) {
        const other = column * size;
        let sum = matrix[start + column]!;
        for (let term = from; term < column; term += 1) sum -= matrix[start + term]! * matrix[other + term]!;
        if (row === column) {
          if (!(sum > 0 && sum < Infinity)) return false;
          matrix[start + column] = Math.sqrt(sum);
        } else matrix[start + column] = sum / matrix[other + column]!;
      }
      for (let column = from; column < Math.min(row + 1, to); column += 1)
        panelTurned[(column - from) * size + row] = matrix[start + column]!;
    }
    // What is left loses the panel's product with its own transpose; only the lower triangle is needed.
    for (let row = to; row < size; row += blockSize) {
      const count = Math.min(blockSize, size - row);
      subtractProduct(
        { values: matrix, start: row * size + to, stride: size },
        { values: matrix, start: row * size + from, stride: size },
        { values: panelTurned, start: to, stride: size },
        count,
        width,
        row + count - to,
      );
    }
  }
  for (let row = 0; row < size; row += 1) matrix.fill(0, row * size + row + 1, (row + 1) * size);
  return true;
}

/** Replaces a lower triangular matrix by its inverse, in place: block row after block row, X_I = L_II^-1 (I - L_I,<I X_<I). */
function invertLower(matrix: Float64Array, size: number): void {
  const left = new Float64Array(blockSize * size);
  for (let from = 0; from < size; from += blockSize) {
    const rows = Math.min(blockSize, size - from);
    for (let row = 0; row < rows; row += 1) {
      const start = (from + row) * size;
      left.set(matrix.subarray(start, start + from + row + 1), row * size);
      matrix.fill(0, start, start + from + rows);
      matrix[start + from + row] = 1;
    }
    // Rows of X end at their diagonal: the product goes block by block over what is there.
    for (let term = 0; term < from; term += blockSize)
      subtractProduct(
        { values: matrix, start: from * size, stride: size },
        { values: left, start: term, stride: size },
        { values: matrix, start: term * size, stride: size },
        rows,
        blockSize,
        term + blockSize,
      );
    for (let row = 0; row < rows; row += 1) {
      const start = (from + row) * size;
      for (let before = 0; before < row; before += 1) {
        const value = left[row * size + from + before]!;
        const other = (from + before) * size;
        for (let column = 0; column <= from + before; column += 1)
          matrix[start + column] = matrix[start + column]! - value * matrix[other + column]!;
      }
      const pivot = left[row * size + from + row]!;
      for (let column = 0; column <= from + row; column += 1) matrix[start + column] = matrix[start + column]! / pivot;
    }
  }
}
