/** Part of a row-major matrix: element (i, j) is `values[start + i * stride + j]`. */
export interface MatrixPart {
  readonly values: Float64Array;
  readonly start: number;
  readonly stride: number;
}

/** What subtracts products of matrices: the loop below, or something faster for large ones. */
export interface Products {
  /** True if large products are much cheaper made at once, even with zeros in them. */
  readonly large: boolean;
  /** c -= a b in place, as `subtractProduct`. */
  subtract(c: MatrixPart, a: MatrixPart, b: MatrixPart, rows: number, inner: number, columns: number): Promise<void> | void;
}

/** Columns that are worked on together: with the rows of `b` that meet them they stay in the cache. */
const columnsAtOnce = 256;

/**
 * c -= a b in place, float64: a [rows, inner], b [inner, columns], c [rows, columns]. `c` overlaps neither `a` nor `b`. Two rows of `c` and four of `b` at a time, so that
 * a load serves two products. Terms are added in the order of `inner`, four at a time.
 */
export function subtractProduct(c: MatrixPart, a: MatrixPart, b: MatrixPart, rows: number, inner: number, columns: number): void {
  for (let first = 0; first < columns; first += columnsAtOnce) {
    const count = Math.min(columnsAtOnce, columns - first);
    let row = 0;
    for (; row + 1 < rows; row += 2) subtractFromTwo(c, a, b, row, first, inner, count);
    if (row < rows) subtractFromOne(c, a, b, row, first, inner, count);
  }
}

function subtractFromTwo(c: MatrixPart, a: MatrixPart, b: MatrixPart, row: number, first: number, inner: number, count: number): void {
  const { values: out } = c;
  const { values: left } = a;
  const { values: right } = b;
  const upper = c.start + row * c.stride + first;
  const lower = upper + c.stride;
  const leftUpper = a.start + row * a.stride;
  const leftLower = leftUpper + a.stride;
  let term = 0;
  for (; term + 3 < inner; term += 4) {
    const p0 = left[leftUpper + term]!;
    const p1 = left[leftUpper + term + 1]!;
    const p2 = left[leftUpper + term + 2]!;
    const p3 = left[leftUpper + term + 3]!;
    const q0 = left[leftLower + term]!;
    const q1 = left[leftLower + term + 1]!;
    const q2 = left[leftLower + term + 2]!;
    const q3 = left[leftLower + term + 3]!;
    const b0 = b.start + term * b.stride + first;
    const b1 = b0 + b.stride;
    const b2 = b1 + b.stride;
    const b3 = b2 + b.stride;
    for (let column = 0; column < count; column += 1) {
      const r0 = right[b0 + column]!;
      const r1 = right[b1 + column]!;
      const r2 = right[b2 + column]!;
      const r3 = right[b3 + column]!;
      out[upper + column] = out[upper + column]! - (p0 * r0 + p1 * r1 + p2 * r2 + p3 * r3);
      out[lower + column] = out[lower + column]! - (q0 * r0 + q1 * r1 + q2 * r2 + q3 * r3);
    }
  }
  for (; term < inner; term += 1) {
    const p = left[leftUpper + term]!;
    const q = left[leftLower + term]!;
    const from = b.start + term * b.stride + first;
    for (let column = 0; column < count; column += 1) {
      const r = right[from + column]!;
      out[upper + column] = out[upper + column]! - p * r;
      out[lower + column] = out[lower + column]! - q * r;
    }
  }
}

function subtractFromOne(c: MatrixPart, a: MatrixPart, b: MatrixPart, row: number, first: number, inner: number, count: number): void {
  const target = c.start + row * c.stride + first;
  const left = a.start + row * a.stride;
  for (let term = 0; term < inner; term += 1) {
    const p = a.values[left + term]!;
    const from = b.start + term * b.stride + first;
    for (let column = 0; column < count; column += 1) c.values[target + column] = c.values[target + column]! - p * b.values[from + column]!;
  }
}

/** Products by the loop on the calling thread. */
export const hostProducts: Products = { large: false, subtract: subtractProduct };
