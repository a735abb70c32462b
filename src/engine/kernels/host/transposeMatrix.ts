/** Edge of the tiles that are transposed one after another: rows of both sides stay in the cache. */
const edge = 32;

/** Transposes a matrix [rows, columns] into a new array [columns, rows]. */
export function transposeMatrix(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let top = 0; top < rows; top += edge)
    for (let left = 0; left < columns; left += edge) {
      const bottom = Math.min(rows, top + edge);
      const right = Math.min(columns, left + edge);
      for (let row = top; row < bottom; row += 1)
        for (let column = left; column < right; column += 1) result[column * rows + row] = values[row * columns + column] as number;
    }
  return result;
}
