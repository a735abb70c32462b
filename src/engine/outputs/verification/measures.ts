type Numbers = Float32Array | Float64Array;

/** How two arrays of equal length differ. Values that are equal on both sides, NaN and infinities included, count as equal. */
export interface Difference {
  /** False if they have different lengths: everything differs then. */
  readonly sameLength: boolean;
  /** Largest difference relative to the reference's value at the same place plus the typical size of the reference. */
  readonly largest: number;
  /** Share of the places where that exceeds the limit given. */
  readonly beyond: number;
  /** Norm of the difference divided by the norm of the reference, over the places where both are finite; 1 where only the reference is zero. */
  readonly norm: number;
  /** Share of the places where one is finite and the other is not, or both are not and differ. */
  readonly nonFinite: number;
  /** Share of the places where the values are not the same. */
  readonly unequal: number;
}

/** Compares `other` with `reference`; everything differs where their lengths do. `limit`: what a value may differ by, relative, before it counts as `beyond`. */
export function differenceOf(reference: Numbers, other: Numbers, limit = 0): Difference {
  const count = reference.length;
  if (other.length !== count) return { sameLength: false, largest: 1, beyond: 1, norm: 1, nonFinite: 1, unequal: 1 };
  const typical = typicalSize(reference);
  let [largest, beyond, error, total, nonFinite, unequal] = [0, 0, 0, 0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const expected = reference[index] as number;
    const found = other[index] as number;
    if (Number.isFinite(expected)) total += expected * expected;
    if (Object.is(expected, found) || expected === found) continue;
    unequal += 1;
    if (!Number.isFinite(expected) || !Number.isFinite(found)) {
      nonFinite += 1;
      continue;
    }
    const distance = Math.abs(found - expected);
    error += distance * distance;
    // A reference of zeros has no size: any difference is all of it.
    const relative = distance / (Math.abs(expected) + typical || distance);
    if (!(relative <= limit)) beyond += 1;
    largest = Math.max(largest, relative);
  }
  const norm = error === 0 ? 0 : total === 0 ? 1 : Math.sqrt(error / total);
  const share = (places: number): number => (count === 0 ? 0 : places / count);
  return { sameLength: true, largest, beyond: share(beyond), norm, nonFinite: share(nonFinite), unequal: share(unequal) };
}

/** Values of a large array that its size is taken from. */
const sizeSamples = 20_000;

/**
 * The size that an ordinary value of the array has: ten times the tenth percentile of the absolute values that are finite and not 0 (for normal numbers 1.26 times
 * their deviation), but at most twice the median: values that are all of one size have that size. A mean or a maximum would be that of the few huge values that masks
 * put into outputs.
 */
export function typicalSize(values: Numbers): number {
  const step = Math.max(1, Math.floor(values.length / sizeSamples));
  const sizes: number[] = [];
  for (let index = 0; index < values.length; index += step) {
    const size = Math.abs(values[index] as number);
    if (size > 0 && Number.isFinite(size)) sizes.push(size);
  }
  sizes.sort((a, b) => a - b);
  const quantile = (share: number): number => sizes[Math.floor(sizes.length * share)] ?? 0;
  return Math.min(10 * quantile(0.1), 2 * quantile(0.5));
}

/** Norm of the difference divided by the norm of the reference; infinity where a value is not a number. */
export function relativeDifference(reference: Float32Array, other: Float32Array): number {
  let error = 0;
  let total = 0;
  for (let index = 0; index < reference.length; index += 1) {
    error += ((other[index] as number) - (reference[index] as number)) ** 2;
    total += (reference[index] as number) ** 2;
  }
  const result = Math.sqrt(error / (total || 1));
  return Number.isNaN(result) ? Infinity : result;
}

/**
 * Mean Kullback-Leibler divergence in nats from the distribution of `reference` to that of `other`, over rows of `classes` logits.
 *   sum_c p_c (log p_c - log q_c), computed in float64 from shifted logits.
 * A row whose logits are the same, NaN and infinities included, adds 0.
 */
export function meanDivergence(reference: Float32Array, other: Float32Array, classes: number): number {
  const rows = reference.length / classes;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    const start = row * classes;
    if (sameRow(reference, other, start, classes)) continue;
    const p = logSoftmax(reference, start, classes);
    const q = logSoftmax(other, start, classes);
    for (let index = 0; index < classes; index += 1) {
      const probability = Math.exp(p[index] as number);
      // A class that is impossible in the reference adds nothing, whatever the other says.
      if (probability !== 0) sum += probability * ((p[index] as number) - (q[index] as number));
    }
  }
  const mean = sum / rows;
  return Number.isNaN(mean) ? Infinity : Math.max(0, mean);
}

function sameRow(first: Float32Array, second: Float32Array, start: number, count: number): boolean {
  for (let index = start; index < start + count; index += 1) if (!Object.is(first[index], second[index])) return false;
  return true;
}

function logSoftmax(values: Float32Array, start: number, count: number): Float64Array {
  let highest = -Infinity;
  for (let index = start; index < start + count; index += 1) highest = Math.max(highest, values[index] as number);
  let sum = 0;
  for (let index = start; index < start + count; index += 1) sum += Math.exp((values[index] as number) - highest);
  const shift = highest + Math.log(sum);
  return Float64Array.from({ length: count }, (_, index) => (values[start + index] as number) - shift);
}
