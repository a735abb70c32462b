import { hostProducts, type Products } from './subtractProduct';

/** Rows and columns of the blocks that are factored together, by the loop and where products are made at once. */
const smallBlock = 64;
const largeBlock = 128;
/** Smaller matrices are factored by the loop whatever makes large products. */
const largeSize = 1024;
/** Rows of what is left that lose a product at once: more would compute more of the upper triangle for nothing. */
const largeRows = 512;

/**
 * Replaces a symmetric positive definite H [size, size], float64 row-major, by the upper triangular U with H^-1 = U^T U, zeros below its diagonal. False if a pivot is not a
 * positive finite number: H is not positive definite to working precision, and its values are lost.
 *
 * H = M M^T with M upper triangular is the Cholesky factorisation of H with rows and columns in reverse order; then U = M^-1. This needs neither the inverse of H nor a
 * second factorisation of it, and no memory beside H but two block rows. Blocked; size^3 / 3 multiply-adds.
 */
export async function inverseFactor(matrix: Float64Array, size: number, products: Products = hostProducts): Promise<boolean> {
  // Reading the matrix from its end puts rows and columns in reverse order.
  matrix.reverse();
  if (!(await factor(matrix, size, products))) return false;
  await invertLower(matrix, size, products);
  matrix.reverse();
  return true;
}

/** Cholesky in place: the lower triangle of `matrix` becomes L with L L^T = matrix, the upper one 0. False if the matrix is not positive definite. */
async function factor(matrix: Float64Array, size: number, products: Products): Promise<boolean> {
  const large = products.large && size >= largeSize;
  const blockSize = large ? largeBlock : smallBlock;
  const rowsAtOnce = large ? largeRows : smallBlock;
  const panelTurned = new Float64Array(blockSize * size);
  for (let from = 0; from < size; from += blockSize) {
    const to = Math.min(from + blockSize, size);
    if (!factorPanel(matrix, size, from, to, panelTurned)) return false;
    // What is left loses the panel's product with its own transpose; only the lower triangle is needed.
    for (let row = to; row < size; row += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, size - row);
      await products.subtract(
        { values: matrix, start: row * size + to, stride: size },
        { values: matrix, start: row * size + from, stride: size },
        { values: panelTurned, start: to, stride: size },
        count,
        to - from,
        row + count - to,
      );
    }
  }
  for (let row = 0; row < size; row += 1) matrix.fill(0, row * size + row + 1, (row + 1) * size);
  return true;
}

/** Columns `from` to `to` of L, below and at the diagonal; `turned` [blockSize, size] gets them as rows. */
function factorPanel(matrix: Float64Array, size: number, from: number, to: number, turned: Float64Array): boolean {
  for (let row = from; row < size; row += 1) {
    const start = row * size;
    const last = Math.min(row + 1, to);
    for (let column = from; column < last; column += 1) {
      const other = column * size;
      let sum = matrix[start + column]!;
      for (let term = from; term < column; term += 1) sum -= matrix[start + term]! * matrix[other + term]!;
      if (row === column) {
        if (!(sum > 0 && sum < Infinity)) return false;
        matrix[start + column] = Math.sqrt(sum);
      } else matrix[start + column] = sum / matrix[other + column]!;
    }
    for (let column = from; column < last; column += 1) turned[(column - from) * size + row] = matrix[start + column]!;
  }
  return true;
}

/** Replaces a lower triangular matrix by its inverse, in place: block row after block row, X_I = L_II^-1 (I - L_I,<I X_<I). */
async function invertLower(matrix: Float64Array, size: number, products: Products): Promise<void> {
  const large = products.large && size >= largeSize;
  const blockSize = large ? largeBlock : smallBlock;
  const left = new Float64Array(blockSize * size);
  for (let from = 0; from < size; from += blockSize) {
    const rows = Math.min(blockSize, size - from);
    for (let row = 0; row < rows; row += 1) {
      const start = (from + row) * size;
      left.set(matrix.subarray(start, start + from + row + 1), row * size);
      matrix.fill(0, start, start + from + rows);
      matrix[start + from + row] = 1;
    }
    const target = { values: matrix, start: from * size, stride: size };
    // Rows of X are 0 behind their diagonal. At once, those zeros are multiplied too; the loop leaves them out.
    if (large && from > 0) {
      const above = { values: matrix, start: 0, stride: size };
      await products.subtract(target, { values: left, start: 0, stride: size }, above, rows, from, size);
    } else
      for (let term = 0; term < from; term += blockSize) {
        const above = { values: matrix, start: term * size, stride: size };
        await products.subtract(target, { values: left, start: term, stride: size }, above, rows, blockSize, term + blockSize);
      }
    solveBlock(matrix, size, left, from, rows);
  }
}

/** Multiplies the block row from `from` on by the inverse of its diagonal block, which `left` holds. */
function solveBlock(matrix: Float64Array, size: number, left: Float64Array, from: number, rows: number): void {
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
