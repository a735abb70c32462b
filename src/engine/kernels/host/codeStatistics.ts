import type { TensorStatistics } from '../../../protocol/model';

/**
 * Statistics of values given as counts per code: `counts[code]` elements have the value `values[code]`. Sums run over the codes in float64;
 * the variance is computed around the mean in a second pass over the codes. Range and bins of the histogram as in `Histogram`. Codes of
 * non-finite values are counted separately.
 */
export function statisticsOfCodes(
  counts: Float64Array,
  values: ArrayLike<number>,
  bins: number,
): Omit<TensorStatistics, 'name' | 'dtype' | 'shape' | 'count'> {
  let minimum = Infinity;
  let maximum = -Infinity;
  let finite = 0;
  let notFinite = 0;
  let sum = 0;
  let zeros = 0;
  for (let code = 0; code < counts.length; code += 1) {
    const count = counts[code] as number;
    if (count === 0) continue;
    const value = values[code] as number;
    if (!Number.isFinite(value)) {
      notFinite += count;
      continue;
    }
    finite += count;
    sum += count * value;
    if (value === 0) zeros += count;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  if (finite === 0) minimum = maximum = 0;
  const mean = finite === 0 ? 0 : sum / finite;
  const bin = new Array<number>(bins).fill(0);
  // All values are equal: everything is in the first bin.
  const scale = maximum > minimum ? bins / (maximum - minimum) : 0;
  let squares = 0;
  for (let code = 0; code < counts.length; code += 1) {
    const count = counts[code] as number;
    const value = values[code] as number;
    if (count === 0 || !Number.isFinite(value)) continue;
    squares += count * (value - mean) ** 2;
    const index = Math.min(bins - 1, Math.floor((value - minimum) * scale));
    bin[index] = (bin[index] ?? 0) + count;
  }
  const standardDeviation = finite === 0 ? 0 : Math.sqrt(squares / finite);
  return { minimum, maximum, mean, standardDeviation, zeros, notFinite, histogram: { minimum, maximum, counts: bin } };
}
