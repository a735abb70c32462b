import { numberToFloat16 } from '../../../../common/halfFloat';
import { halfEvenShift } from '../../../../common/rounding';
import { tableOf } from '../../../formats/decode';

/** Ranges that are tried: the whole one, and each by 1 % of it shorter than the one before. */
const steps = 80;
const stepsOfWhole = 100;
/** Power of the error that is summed: between squares, which outliers rule, and magnitudes. */
const power = 2.4;

/** Groups whose ranges are searched: `scales` and `zeroPoints` [rows, groups], those of the whole range on entry. */
export interface ClippedGroups {
  readonly weights: Float32Array;
  readonly columns: number;
  readonly groupSize: number;
  readonly bits: number;
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/**
 * Replaces scale and zero point of each group by those of the shortened range, from all of it down to 21 % in steps of 1 %, for which the sum of |error|^2.4 is least; the longest of equals.
 * Source: the clip search of GPTQ's quantiser, Frantar et al. 2022.
 */
export function searchClipping({ weights, columns, groupSize, bits, symmetric, scaleDType, scales, zeroPoints }: ClippedGroups): void {
  const groups = Math.ceil(columns / groupSize);
  const top = 2 ** bits - 1;
  const table = scaleDType === 'float16' ? tableOf('float16') : undefined;
  for (let index = 0; index < scales.length; index += 1) {
    const row = Math.floor(index / groups);
    const start = row * columns + (index % groups) * groupSize;
    const end = Math.min(start + groupSize, (row + 1) * columns);
    let [low, high] = [0, 0];
    for (let place = start; place < end; place += 1) {
      low = Math.min(low, weights[place] as number);
      high = Math.max(high, weights[place] as number);
    }
    if (symmetric) low = -(high = Math.max(high, -low));
    if (low === high) continue;
    let least = errorOf(weights, start, end, scales[index] as number, zeroPoints[index] as number, top, Infinity);
    for (let step = 1; step < steps; step += 1) {
      const share = 1 - step / stepsOfWhole;
      const exact = (share * (high - low)) / top;
      const scale = table ? (table[numberToFloat16(exact)] as number) : Math.fround(exact);
      if (!(scale > 0)) break;
      const zero = symmetric ? 2 ** (bits - 1) : Math.fround((-share * low) / scale) + halfEvenShift - halfEvenShift;
      if (zero > top) continue;
      const error = errorOf(weights, start, end, scale, zero, top, least);
      if (error >= least) continue;
      least = error;
      scales[index] = scale;
      zeroPoints[index] = zero;
    }
  }
}

/** Sum of |error|^2.4 over a group, or something not below `enough` if that is reached. */
function errorOf(weights: Float32Array, start: number, end: number, scale: number, zero: number, top: number, enough: number): number {
  let sum = 0;
  for (let place = start; place < end && sum < enough; place += 1) {
    const weight = weights[place] as number;
    const level = Math.fround(weight / scale) + halfEvenShift - halfEvenShift + zero;
    const code = level < 0 ? 0 : level > top ? top : level;
    sum += Math.abs((code - zero) * scale - weight) ** power;
  }
  return sum;
}
