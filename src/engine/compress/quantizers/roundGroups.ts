import { numberToFloat16 } from '../../../common/halfFloat';
import { halfEvenShift } from '../../../common/rounding';
import { tableOf } from '../../formats/decode';
import { LoomweightError } from '../../../protocol/errors';
import { leastErrorRange } from './leastError';
import type { Grouping } from './parameters';
import type { QuantizedMatrix } from './quantizer';

/** Settings of one matrix. */
export interface RoundingOptions extends Grouping {
  readonly bits: number;
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  /** Choose the range of each group by least squared error in place of its ends (leastError.ts). */
  readonly clip?: boolean;
  /** With `clip`: weight of each column's squared error, [columns]. */
  readonly importance?: Float32Array;
  /** A buffer of rows * columns for the codes. */
  readonly codes?: Uint8Array;
}

/**
 * Rounds every weight to the nearest of the 2^bits levels of its group.
 *
 *   asymmetric: low = min(0, min w), high = max(0, max w), zero = round(-low / scale)
 *   symmetric:  high = max |w|, low = -high,               zero = 2^(bits-1)
 *   scale = (high - low) / (2^bits - 1),  code = clamp(round(w / scale) + zero, 0, 2^bits - 1)
 *
 * With `clip` scale and zero point are then moved to where the squared error of the group is least. Zero is always a level. Rounding: half to even on the float32 quotient, as ONNX QuantizeLinear. Scales take their storage
 * type first: float16 rounds up, so that no end is cut off and every error stays within half a step; float32 rounds to
 * nearest. An all-zero group has scale 1 and comes back exactly.
 *
 * Shapes: `weights` [rows * columns] row-major, not changed. Errors: `malformed-file` for NaN or infinity (tensor and
 * position) and for a scale beyond float16. Source: the uniform quantiser of GPTQ, Frantar et al. 2022; ONNX QuantizeLinear.
 *
 * Measured on two shared cores, 4 bits, group 32 (npm run bench rounding): this loop 92 M weights/s on one thread; the same as an ONNX graph (ReduceMin, ReduceMax,
 * Div, Round, Clip, Cast) 230 M/s on two. The loop stays: it is quick beside reading and writing, and its bytes depend on no provider.
 */
export function roundGroups(name: string, weights: Float32Array, rows: number, columns: number, options: RoundingOptions): QuantizedMatrix {
  const { bits, symmetric, groupSize, groupsPerRow, granularity, scaleDType } = options;
  const codes = options.codes ?? new Uint8Array(rows * columns);
  const scales = new Float32Array(rows * groupsPerRow);
  const zeroPoints = new Uint8Array(rows * groupsPerRow);
  const steps = 2 ** bits - 1;
  const middle = 2 ** (bits - 1);
  const stored = scaleDType === 'float16' ? tableOf('float16') : undefined;
  const range = new Float64Array(2);
  const nearestScale = (scale: number): number => {
    const rounded = stored === undefined ? Math.fround(scale) : (stored[numberToFloat16(scale)] as number);
    return rounded < Infinity ? rounded : 0;
  };
  const place = (start: number, end: number, group: number): void => {
    if (!rangeOf(weights, start, end, range)) throw notFinite(name, weights, start, columns);
    let low = range[0] as number;
    let high = range[1] as number;
    if (symmetric) {
      high = Math.max(high, -low);
      low = -high;
    }
    const scale = low === high ? 1 : storedScale(name, (high - low) / steps, stored);
    const zero = symmetric ? middle : Math.fround(-low / scale) + halfEvenShift - halfEvenShift;
    scales[group] = scale;
    zeroPoints[group] = zero;
    if (options.clip !== true || low === high) return;
    leastErrorRange(
      { weights, start, end, columns, importance: options.importance, bits, symmetric, stored: nearestScale },
      low,
      high,
      [scale, zero],
      range,
    );
    scales[group] = range[0] as number;
    zeroPoints[group] = range[1] as number;
  };
  if (granularity === 'tensor') {
    if (rows * columns > 0) place(0, rows * columns, 0);
    scales.fill(scales[0] as number);
    zeroPoints.fill(zeroPoints[0] as number);
  }
  for (let row = 0; row < rows; row += 1) {
    for (let group = 0; group < groupsPerRow; group += 1) {
      const start = row * columns + group * groupSize;
      const end = Math.min(start + groupSize, (row + 1) * columns);
      const index = row * groupsPerRow + group;
      if (granularity !== 'tensor') place(start, end, index);
      roundStretch(weights, codes, start, end, scales[index] as number, zeroPoints[index] as number, steps);
    }
  }
  return { rows, columns, bits, groupSize, granularity, symmetric, codes, scales, scaleDType, zeroPoints };
}

function roundStretch(
  weights: Float32Array,
  codes: Uint8Array,
  start: number,
  end: number,
  scale: number,
  zero: number,
  top: number,
): void {
  for (let index = start; index < end; index += 1) {
    const level = Math.fround((weights[index] as number) / scale) + halfEvenShift - halfEvenShift + zero;
    codes[index] = level < 0 ? 0 : level > top ? top : level;
  }
}

/** Puts the least and the largest weight, 0 included, into `range`; false where a weight is not finite. */
function rangeOf(weights: Float32Array, start: number, end: number, range: Float64Array): boolean {
  let low = 0;
  let high = 0;
  // The sum of w - w is 0 for finite weights and NaN as soon as one is not: one test a group instead of one a weight.
  let finite = 0;
  for (let index = start; index < end; index += 1) {
    const weight = weights[index] as number;
    if (weight < low) low = weight;
    if (weight > high) high = weight;
    finite += weight - weight;
  }
  range[0] = low;
  range[1] = high;
  return finite === 0;
}

/** The scale in its storage type: float16 (`table`: the values of its codes) rounds up. */
function storedScale(name: string, exact: number, table: Float32Array | undefined): number {
  if (table === undefined) return Math.fround(exact) || 2 ** -149;
  const nearest = numberToFloat16(exact);
  const rounded = table[nearest] as number;
  const scale = rounded < exact ? (table[nearest + 1] as number) : rounded;
  if (scale < Infinity) return scale;
  throw new LoomweightError(
    'invalid-argument',
    `Tensor '${name}' needs a step of ${exact.toPrecision(3)} between levels; float16 scales end at 65504. Ask for float32 scales (--scales float32).`,
    { tensor: name, scale: exact },
  );
}

function notFinite(name: string, weights: Float32Array, start: number, columns: number): LoomweightError {
  const index = weights.findIndex((weight, position) => position >= start && !Number.isFinite(weight));
  const [row, column] = [Math.floor(index / columns), index % columns];
  return new LoomweightError(
    'malformed-file',
    `Tensor '${name}' holds ${weights[index]} at row ${row}, column ${column}; only finite weights can be rounded. Repair it or leave it out with --tensors.`,
    { tensor: name, row, column, value: String(weights[index]) },
  );
}
