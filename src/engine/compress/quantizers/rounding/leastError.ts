import { halfEvenShift } from '../../../../common/rounding';

/** Steps tried for a group, as shares of the step that reaches from its least to its largest weight. Fewer levels gain from a narrower range. */
const sharesByBits: readonly (readonly number[])[] = [
  [],
  [1, 0.85, 0.7, 0.55, 0.45, 0.35],
  [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
  [1, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58],
  [1, 0.95, 0.9, 0.85, 0.8, 0.74],
  [1, 0.96, 0.92, 0.88],
  [1, 0.97, 0.94],
  [1, 0.98],
  [1, 0.98],
];

/** A run of weights that shares one scale, and the layout of its levels. */
export interface Stretch {
  readonly weights: Float32Array;
  readonly start: number;
  readonly end: number;
  /** Column of the first weight; after the last of `columns` the next row follows. */
  readonly column: number;
  readonly columns: number;
  /** Weight of each column's squared error; absent: all count alike. */
  readonly importance: Float32Array | undefined;
  readonly bits: number;
  readonly symmetric: boolean;
  /** Rounds a scale to its storage type, to nearest; 0 where it is out of range. */
  stored(scale: number): number;
}

/**
 * Finds scale and zero point of a stretch with a small sum of importance * (weight - level)^2, starting from those that cover the whole range.
 * Tries narrower steps with every zero point that clips at either end, then moves the best scale once to the least-squares fit of its codes. Never
 * worse than the start. Gives the result in `found`: [scale, zero point].
 */
export function leastErrorRange(stretch: Stretch, low: number, high: number, start: readonly [number, number], found: Float64Array): void {
  const { bits, symmetric, stored } = stretch;
  const top = 2 ** bits - 1;
  let [bestScale, bestZero] = start;
  let best = squaredError(stretch, bestScale, bestZero, Infinity);
  const attempt = (scale: number, zero: number): void => {
    if (!(scale > 0)) return;
    const error = squaredError(stretch, scale, zero, best);
    if (error < best) [best, bestScale, bestZero] = [error, scale, zero];
  };
  for (const share of sharesByBits[bits] ?? [1]) {
    const scale = stored(((high - low) / top) * share);
    if (!(scale > 0)) continue;
    if (symmetric) {
      attempt(scale, start[1]);
      continue;
    }
    // From cutting all excess off the low end to cutting it all off the high end.
    const below = -low / scale;
    const excess = Math.max(0, (high - low) / scale - top);
    const [first, last] = [Math.max(0, Math.floor(below - excess)), Math.min(top, Math.ceil(below))];
    for (let zero = first; zero <= last; zero += 1) attempt(scale, zero);
  }
  // The least-squares scale of the codes: sum of w * q over sum of q^2.
  for (let round = 0; round < 2; round += 1) {
    const before = bestScale;
    attempt(stored(fittedScale(stretch, bestScale, bestZero)), bestZero);
    if (bestScale === before) break;
  }
  found[0] = bestScale;
  found[1] = bestZero;
}

/** Sum of importance * error^2; stops once it is above `limit`. */
function squaredError(stretch: Stretch, scale: number, zero: number, limit: number): number {
  const { weights, start, end, columns, importance, bits } = stretch;
  const shift = halfEvenShift;
  const [bottom, top] = [-zero, 2 ** bits - 1 - zero];
  let sum = 0;
  let { column } = stretch;
  for (let index = start; index < end; index += 1) {
    const weight = weights[index] as number;
    let level = Math.fround(weight / scale) + shift - shift;
    level = level < bottom ? bottom : level > top ? top : level;
    const error = level * scale - weight;
    sum += importance === undefined ? error * error : error * error * (importance[column] as number);
    if (sum >= limit) return sum;
    column += 1;
    if (column === columns) column = 0;
  }
  return sum;
}

function fittedScale(stretch: Stretch, scale: number, zero: number): number {
  const { weights, start, end, columns, importance, bits } = stretch;
  const shift = halfEvenShift;
  const [bottom, top] = [-zero, 2 ** bits - 1 - zero];
  let [product, square] = [0, 0];
  let { column } = stretch;
  for (let index = start; index < end; index += 1) {
    const weight = weights[index] as number;
    let level = Math.fround(weight / scale) + shift - shift;
    level = level < bottom ? bottom : level > top ? top : level;
    const counted = importance === undefined ? level : level * (importance[column] as number);
    product += counted * weight;
    square += counted * level;
    column += 1;
    if (column === columns) column = 0;
  }
  return square > 0 ? product / square : 0;
}
