/** Number of values of a radix digit: 16 bits. */
const values = 2 ** 16;
/** Up to this length a comparison sort is faster than clearing the counting tables. */
const few = 4096;

/**
 * Indices of non-negative numbers in descending order, stable. A radix sort over 16-bit digits of the numbers' bit patterns: non-negative numbers have the same order
 * as their bits. A hundred thousand numbers take a few milliseconds; a comparison sort takes a tenth of a second.
 */
export function fallingOrder(numbers: Float64Array): Uint32Array {
  const count = numbers.length;
  const indices = new Uint32Array(count).map((_, index) => index);
  if (count <= few) return indices.sort((a, b) => (numbers[b] as number) - (numbers[a] as number) || a - b);
  const words = new Uint32Array(numbers.buffer, numbers.byteOffset, 2 * count);
  // Which half of a number holds its upper bits depends on the byte order.
  const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  let order = indices;
  let next = new Uint32Array(count);
  const starts = new Uint32Array(values);
  for (let digit = 0; digit < 4; digit += 1) {
    const half = digit < 2 === littleEndian ? 0 : 1;
    const shift = (digit % 2) * 16;
    starts.fill(0);
    for (let index = 0; index < count; index += 1) {
      const value = ((words[2 * index + half] as number) >>> shift) & 0xffff;
      starts[value] = (starts[value] as number) + 1;
    }
    // Descending: the largest digit first.
    for (let value = values - 1, place = 0; value >= 0; value -= 1) {
      const size = starts[value] as number;
      starts[value] = place;
      place += size;
    }
    for (let place = 0; place < count; place += 1) {
      const index = order[place] as number;
      const value = ((words[2 * index + half] as number) >>> shift) & 0xffff;
      const target = starts[value] as number;
      next[target] = index;
      starts[value] = target + 1;
    }
    [order, next] = [next, order];
  }
  return order;
}
