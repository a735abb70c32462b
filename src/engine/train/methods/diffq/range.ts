import { extremes, quantizeRun, valueOfLevel } from '../../../kernels/host/uniformQuantize';

/** Ends of a grid. */
export interface Range {
  readonly minimum: number;
  readonly maximum: number;
}

/** Mean plus and minus so many standard deviations, not beyond the extremes. float32 values. */
export function spreadRange(weights: Float32Array, deviations: number, name: string): Range {
  const { minimum, maximum } = extremes(weights, name);
  let sum = 0;
  let squares = 0;
  for (let index = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    sum += weight;
    squares += weight * weight;
  }
  const mean = sum / Math.max(1, weights.length);
  const reach = deviations * Math.sqrt(Math.max(0, squares / Math.max(1, weights.length) - mean * mean));
  return { minimum: Math.max(minimum, Math.fround(mean - reach)), maximum: Math.min(maximum, Math.fround(mean + reach)) };
}

/** How far the ends are drawn in, as shares of the given range. */
const shares = Array.from({ length: 13 }, (_, index) => 0.4 + 0.05 * index);
/** Groups are thinned out so that at most about so many weights are looked at. */
const sampled = 200_000;

/**
 * The range, drawn in towards its middle, whose grid leaves the smallest squared error for the given widths. Looks at whole groups, evenly thinned
 * out in large tensors.
 */
export function fittedRange(canonical: Float32Array, wide: Range, groupSize: number, widths: Uint8Array): Range {
  const size = groupSize === 0 ? Math.max(1, canonical.length) : groupSize;
  const stride = Math.max(1, Math.ceil(canonical.length / sampled));
  const levels = new Uint16Array(canonical.length);
  const middle = (wide.minimum + wide.maximum) / 2;
  let best = wide;
  let bestError = Infinity;
  for (const share of shares) {
    const range = {
      minimum: Math.fround(middle + (wide.minimum - middle) * share),
      maximum: Math.fround(middle + (wide.maximum - middle) * share),
    };
    let error = 0;
    for (let group = 0; group < widths.length; group += stride) {
      const begin = group * size;
      const end = Math.min(begin + size, canonical.length);
      const bits = widths[group] as number;
      quantizeRun(canonical, begin, end, bits, range, levels);
      for (let index = begin; index < end; index += 1)
        error += (valueOfLevel(levels[index] as number, bits, range) - (canonical[index] as number)) ** 2;
    }
    if (error < bestError) {
      bestError = error;
      best = range;
    }
  }
  return best;
}
