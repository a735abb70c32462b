/** Rows and columns of a tile: 4 KiB of input and of output stay in the L1 cache. */
const tile = 64;

/** An array that can be copied element by element. */
type Elements = Uint8Array | Uint16Array | Float32Array;

/**
 * Writes rows `from` to `to` of a row-major [rows, columns] matrix transposed into `result` [paddedColumns, to - from]. Rows of the result
 * beyond `columns` are not written.
 */
export function transposeInto<T extends Elements>(source: T, columns: number, from: number, to: number, result: T): T {
  const width = to - from;
  for (let rowTile = from; rowTile < to; rowTile += tile) {
    const rowEnd = Math.min(rowTile + tile, to);
    for (let columnTile = 0; columnTile < columns; columnTile += tile) {
      const columnEnd = Math.min(columnTile + tile, columns);
      for (let row = rowTile; row < rowEnd; row += 1)
        for (let column = columnTile; column < columnEnd; column += 1)
          result[column * width + row - from] = source[row * columns + column] as number;
    }
  }
  return result;
}

/** The inverse: reads [columns, to - from] back into rows `from` to `to`. */
export function transposeBack<T extends Elements>(source: T, columns: number, from: number, to: number, result: T): void {
  const width = to - from;
  for (let rowTile = from; rowTile < to; rowTile += tile) {
    const rowEnd = Math.min(rowTile + tile, to);
    for (let columnTile = 0; columnTile < columns; columnTile += tile) {
      const columnEnd = Math.min(columnTile + tile, columns);
      for (let row = rowTile; row < rowEnd; row += 1)
        for (let column = columnTile; column < columnEnd; column += 1)
          result[row * columns + column] = source[column * width + row - from] as number;
    }
  }
}
