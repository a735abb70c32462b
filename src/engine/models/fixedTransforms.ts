/** A matrix whose values are those of a known transform: nobody trained it, and rounding it harms every input. */
export type FixedTransform = 'Fourier transform' | 'filter bank';

/** Rows that a transform has at least; with fewer, trained kernels could look alike. */
const fewestRows = 8;
const fewestColumns = 16;
/** Share of the squares of a row's neighbours that the recurrence may leave. Trained weights leave nearly all. */
const largestRest = 1e-4;

/**
 * The transform that a matrix holds, from its values alone; undefined for any other. `weights`: [rows, columns] row-major, a row for each output.
 *
 * Fourier transform: rows are a window times sines or cosines of rising frequency, so that row k-1 + row k+1 = m row k with the same m[n] = 2 cos(w n) for all k, whatever the window;
 * real and imaginary parts as halves, alternating, or one of them alone. Filter bank (mel, Bark): rows are not negative, mostly zero, and single peaks that move to the right.
 */
export function fixedTransformOf(weights: Float32Array, rows: number, columns: number): FixedTransform | undefined {
  if (rows < fewestRows || columns < fewestColumns) return undefined;
  const half = Math.floor(rows / 2);
  const arrangements: readonly (readonly Part[])[] = [
    [{ first: 0, count: rows, step: 1 }],
    [
      { first: 0, count: rows - half, step: 1 },
      { first: rows - half, count: half, step: 1 },
    ],
    [
      { first: 0, count: rows - half, step: 2 },
      { first: 1, count: half, step: 2 },
    ],
  ];
  const matrix = { weights, columns };
  if (arrangements.some((parts) => parts.every((part) => isWaves(matrix, part)))) return 'Fourier transform';
  return isFilterBank(matrix, rows) ? 'filter bank' : undefined;
}

interface Matrix {
  readonly weights: Float32Array;
  readonly columns: number;
}

/** Rows first, first + step, ... */
interface Part {
  readonly first: number;
  readonly count: number;
  readonly step: number;
}

function isWaves({ weights, columns }: Matrix, { first, count, step }: Part): boolean {
  if (count < fewestRows / 2) return false;
  let [rest, total] = [0, 0];
  for (let column = 0; column < columns; column += 1) {
    const at = (row: number): number => weights[(first + row * step) * columns + column] as number;
    let [product, square] = [0, 0];
    for (let row = 1; row + 1 < count; row += 1) {
      product += at(row) * (at(row - 1) + at(row + 1));
      square += at(row) ** 2;
    }
    const factor = square === 0 ? 0 : product / square;
    for (let row = 1; row + 1 < count; row += 1) {
      const neighbours = at(row - 1) + at(row + 1);
      rest += (neighbours - factor * at(row)) ** 2;
      total += neighbours ** 2;
    }
  }
  return total > 0 && rest <= largestRest * total;
}

function isFilterBank({ weights, columns }: Matrix, rows: number): boolean {
  let [zeros, peaks, before] = [0, 0, -1];
  for (let row = 0; row < rows; row += 1) {
    const values = weights.subarray(row * columns, (row + 1) * columns);
    let [peak, last] = [-1, -1];
    for (let column = 0; column < columns; column += 1) {
      const value = values[column] as number;
      if (!(value >= 0)) return false;
      if (value === 0) zeros += 1;
      else {
        // A second piece, or a rise behind the peak.
        if (last >= 0 && last !== column - 1) return false;
        if (peak < 0 || value >= (values[peak] as number)) {
          if (peak >= 0 && peak !== column - 1) return false;
          peak = column;
        }
        last = column;
      }
    }
    if (peak < 0) continue;
    if (peak < before) return false;
    before = peak;
    peaks += 1;
  }
  return peaks >= fewestRows && 2 * zeros >= rows * columns;
}
