/** Largest absolute difference; infinity where the lengths differ or a value is not a number. */
export function largestDifference(first: Float32Array, second: Float32Array): number {
  if (first.length !== second.length) return Infinity;
  let largest = 0;
  for (let index = 0; index < first.length; index += 1) {
    const difference = Math.abs((first[index] as number) - (second[index] as number));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
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
 */
export function meanDivergence(reference: Float32Array, other: Float32Array, classes: number): number {
  const rows = reference.length / classes;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    const p = logSoftmax(reference, row * classes, classes);
    const q = logSoftmax(other, row * classes, classes);
    for (let index = 0; index < classes; index += 1) sum += Math.exp(p[index] as number) * ((p[index] as number) - (q[index] as number));
  }
  const mean = sum / rows;
  return Number.isNaN(mean) ? Infinity : Math.max(0, mean);
}

function logSoftmax(values: Float32Array, start: number, count: number): Float64Array {
  let highest = -Infinity;
  for (let index = start; index < start + count; index += 1) highest = Math.max(highest, values[index] as number);
  let sum = 0;
  for (let index = start; index < start + count; index += 1) sum += Math.exp((values[index] as number) - highest);
  const shift = highest + Math.log(sum);
  return Float64Array.from({ length: count }, (_, index) => (values[start + index] as number) - shift);
}
