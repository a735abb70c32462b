/** True for each weight that is pruned; one row of a matrix, or all of it. */
export type Pruned = Uint8Array;

/** Marks the `count` lowest of some scores; of equal ones the first. */
export function pruneLowest(scores: Float64Array, count: number, pruned: Pruned): void {
  if (count <= 0) return;
  const sorted = scores.slice().sort();
  const border = sorted[count - 1] as number;
  let equal = count;
  for (const score of scores) if (score < border) equal -= 1;
  for (let index = 0; index < scores.length; index += 1) {
    const score = scores[index] as number;
    if (score < border) pruned[index] = 1;
    else if (score === border && equal > 0) {
      pruned[index] = 1;
      equal -= 1;
    }
  }
}

/** Marks the lowest scores of each `m` consecutive ones so that at most `kept` stay. */
export function pruneWindows(scores: Float64Array, kept: number, m: number, pruned: Pruned): void {
  for (let start = 0; start < scores.length; start += m) {
    const end = Math.min(start + m, scores.length);
    pruneLowest(scores.subarray(start, end), end - start - kept, pruned.subarray(start, end));
  }
}

/**
 * The value at place `place` of the magnitudes in rising order, without sorting them: the bits of float32 magnitudes are in the order of their values, so two counts of 16 bits
 * each find it.
 */
export function magnitudeAt(weights: Float32Array, place: number): number {
  const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length);
  const counts = new Uint32Array(2 ** 16);
  for (const word of bits) counts[(word & 0x7fffffff) >>> 16]! += 1;
  let [high, before] = [0, 0];
  for (; before + (counts[high] as number) <= place; high += 1) before += counts[high] as number;
  counts.fill(0);
  for (const word of bits) if ((word & 0x7fffffff) >>> 16 === high) counts[word & 0xffff]! += 1;
  let low = 0;
  for (; before + (counts[low] as number) <= place; low += 1) before += counts[low] as number;
  return new Float32Array(Uint32Array.of((high << 16) | low).buffer)[0] as number;
}
