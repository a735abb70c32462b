/** Matrices of fewer entries stay in the cache anyway. */
const leastEntries = 2 ** 20;
/** A block of a matrix: 1 MiB of float32. With gradient, slots and products a block's work fits the second-level cache of most processors. */
const entriesOfBlock = 2 ** 18;
/** Short blocks make short products. */
const leastRows = 16;

/** Rows of a block of a matrix [rows, columns], a divisor of its rows; undefined if it is too small to be cut or has no such divisor. */
export function blockRows(shape: readonly number[]): number | undefined {
  const [rows, columns, ...others] = shape;
  if (rows === undefined || columns === undefined || others.length > 0 || rows * columns < leastEntries) return undefined;
  const most = Math.min(rows / 2, Math.max(leastRows, Math.floor(entriesOfBlock / columns)));
  // Powers of two first: groups of weights are mostly such.
  for (let length = 2 ** Math.floor(Math.log2(most)); length >= leastRows; length /= 2) if (rows % length === 0) return length;
  for (let length = Math.floor(most); length >= leastRows; length -= 1) if (rows % length === 0) return length;
  return undefined;
}
