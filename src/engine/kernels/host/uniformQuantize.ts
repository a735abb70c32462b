import { halfEvenShift } from '../../../common/rounding';
import { LoomweightError } from '../../../protocol/errors';

/** Smallest and largest entry; 0 for an empty tensor. Errors: `invalid-argument` for weights that are not finite. */
export function extremes(weights: Float32Array, name: string): { readonly minimum: number; readonly maximum: number } {
  let minimum = Infinity;
  let maximum = -Infinity;
  let sum = 0;
  for (let index = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    if (weight < minimum) minimum = weight;
    if (weight > maximum) maximum = weight;
    sum += weight;
  }
  if (!Number.isFinite(sum))
    throw new LoomweightError('invalid-argument', `Tensor '${name}' contains weights that are not finite, so it cannot be quantised.`, {
      tensor: name,
    });
  return weights.length === 0 ? { minimum: 0, maximum: 0 } : { minimum, maximum };
}

/**
 * Levels of entries from `begin` to `end`: round((w - minimum) / (maximum - minimum) (floor(2^bits) - 1)), half to even, in float64, so
 * that rounding errors never move an entry across the midpoint between two levels. Entries outside the range are clamped; a constant tensor
 * has level 0.
 */
export function quantizeRun(
  weights: Float32Array,
  begin: number,
  end: number,
  bits: number,
  { minimum, maximum }: { readonly minimum: number; readonly maximum: number },
  levels: Uint16Array,
): void {
  const range = maximum - minimum;
  if (range === 0) {
    levels.fill(0, begin, end);
    return;
  }
  const top = Math.floor(2 ** bits) - 1;
  for (let index = begin; index < end; index += 1) {
    const level = (((weights[index] as number) - minimum) / range) * top + halfEvenShift - halfEvenShift;
    levels[index] = level < 0 ? 0 : level > top ? top : level;
  }
}

/** Value of a level of a width that may be fractional: minimum + (maximum - minimum) level / (2^bits - 1), in float32. */
export function valueOfLevel(
  level: number,
  bits: number,
  { minimum, maximum }: { readonly minimum: number; readonly maximum: number },
): number {
  const step = Math.fround(Math.fround(maximum - minimum) / (2 ** bits - 1));
  return Math.fround(Math.fround(level * step) + Math.fround(minimum));
}
