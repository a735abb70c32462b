/** Values of a digit: 16 bits. */
const values = 2 ** 16;
/** Up to here a sort by comparison is faster than clearing the tables. */
const few = 4096;

/**
 * Indices of numbers that are 0 or more from the largest to the least, of equal ones the first first. Sorts by the bits of the numbers, sixteen at a time: numbers
 * without sign are in the order of their bits. A hundred thousand take a few milliseconds, where a sort by comparison takes a tenth of a second.
 */
export function fallingOrder(numbers: Float64Array): Uint32Array {
  const count = numbers.length;
  const indices = new Uint32Array(count).map((_, index) => index);
  if (count <= few) return indices.sort((a, b) => (numbers[b] as number) - (numbers[a] as number) || a - b);
  const words = new Uint32Array(numbers.buffer, numbers.byteOffset, 2 * count);
  // Which half of a number holds its upper bits depends on the machine.
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
    // The largest digit first.
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
