import { hostProducts, type Products } from './subtractProduct';

/** A sweep over the columns of a weight matrix that replaces every weight and moves those to its right so that the layer's output changes least. */
export interface ColumnSweep {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] float64: replaced by the new weights. */
  readonly weights: Float64Array;
  /** U of `inverseFactor`, [columns, columns]. */
  readonly factor: Float64Array;
  /** Columns after which the errors of a block reach the columns behind it. */
  readonly blockSize: number;
  /** Before the columns `from` to `to`: the weights hold what all blocks before made of them. */
  readonly startBlock?: (from: number, to: number) => void;
  /** The new value of a weight that has become `value`. Rows are independent; within a row columns come in order. */
  readonly replace: (row: number, column: number, value: number) => number;
  /** What moves the columns behind a block. Default: the loop. */
  readonly products?: Products | undefined;
}

/**
 * The sweep of optimal brain surgery with its errors fed forward. In column i of each row, with U from H^-1 = U^T U:
 *   e = (w_i - replace(w_i)) / U_ii,   w_j -= e U_ij for j > i
 * Errors reach the later columns of a block at once and the columns behind the block together. Gives the predicted increase of the layer's squared output error,
 * 1/2 sum e^2 in the units of H. Sources: Frantar et al. 2022, GPTQ, section 3; Frantar and Alistarh 2023, SparseGPT, section 3.
 */
export async function sweepColumns({
  rows,
  columns,
  weights,
  factor,
  blockSize,
  startBlock,
  replace,
  products = hostProducts,
}: ColumnSweep): Promise<number> {
  const errors = new Float64Array(rows * blockSize);
  const inner = new Float64Array(blockSize * blockSize);
  let loss = 0;
  for (let from = 0; from < columns; from += blockSize) {
    const to = Math.min(from + blockSize, columns);
    const width = to - from;
    startBlock?.(from, to);
    for (let row = 0; row < width; row += 1)
      inner.set(factor.subarray((from + row) * columns + from, (from + row) * columns + to), row * blockSize);
    for (let row = 0; row < rows; row += 1) {
      const start = row * columns + from;
      for (let column = 0; column < width; column += 1) {
        const value = weights[start + column]!;
        const replaced = replace(row, from + column, value);
        const line = column * blockSize;
        const error = (value - replaced) / inner[line + column]!;
        loss += error * error;
        errors[row * blockSize + column] = error;
        weights[start + column] = replaced;
        for (let later = column + 1; later < width; later += 1)
          weights[start + later] = weights[start + later]! - error * inner[line + later]!;
      }
    }
    await products.subtract(
      { values: weights, start: to, stride: columns },
      { values: errors, start: 0, stride: blockSize },
      { values: factor, start: from * columns + to, stride: columns },
      rows,
      width,
      columns - to,
    );
  }
  return loss / 2;
}
