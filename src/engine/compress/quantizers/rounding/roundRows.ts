import { numberToFloat16 } from '../../../../common/halfFloat';
import { halfEvenShift } from '../../../../common/rounding';
import { LoomweightError } from '../../../../protocol/errors';
import { tableOf } from '../../../formats/decode';
import { leastErrorRange } from './leastError';
import { MatrixRows } from './matrixRows';
import type { Grouping } from '../parameters';

/** Settings of one matrix. */
export interface RoundingOptions extends Grouping {
  readonly bits: number;
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  /** Choose the range of each group by least squared error in place of its ends (leastError.ts). */
  readonly clip?: boolean;
  /** With `clip`: weight of each column's squared error, [columns]. */
  readonly importance?: Float32Array;
  /** True where `weights` holds the matrix as [columns, rows]. */
  readonly transposed?: boolean;
  /** A buffer of rows * columns for the codes. */
  readonly codes?: Uint8Array;
}

/** A matrix to be rounded and where the result goes; any run works on some of its rows. Shapes: QuantizedMatrix. */
export interface RoundingTarget {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly weights: Float32Array;
  readonly options: RoundingOptions;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/**
 * Rounds rows `from` to `to`; the formulas are those of `roundGroups`. One range for the whole tensor must have been placed before (`placeTensor`).
 * `sums`, where given, [2 * (to - from)], gets each row's sum of squared errors and sum of squared weights, added up from left to right.
 * Errors: as `roundGroups`, for the first group that fails.
 */
export function roundRows(target: RoundingTarget, from: number, to: number, sums?: Float64Array): void {
  const { columns, codes, scales, zeroPoints, options } = target;
  const { groupSize, groupsPerRow, granularity } = options;
  const top = 2 ** options.bits - 1;
  const rows = new MatrixRows(target.weights, target.rows, columns, options.transposed === true);
  const placing = new Placing(target);
  for (let row = from; row < to; row += 1) {
    const first = rows.at(row);
    let error = 0;
    let norm = 0;
    for (let group = 0; group < groupsPerRow; group += 1) {
      const column = group * groupSize;
      const start = first + column;
      const end = first + Math.min(column + groupSize, columns);
      const index = row * groupsPerRow + group;
      if (granularity !== 'tensor') {
        if (!placing.place(rows, start, end, column)) throw notFinite(target, rows, row, column);
        scales[index] = placing.scale;
        zeroPoints[index] = placing.zero;
      }
      const scale = scales[index] as number;
      const zero = zeroPoints[index] as number;
      roundStretch(rows.values, start, end, codes, row * columns - first, scale, zero, top);
      if (sums === undefined) continue;
      for (let place = start, code = row * columns + column; place < end; place += 1, code += 1) {
        const weight = rows.values[place] as number;
        const difference = ((codes[code] as number) - zero) * scale - weight;
        error += difference * difference;
        norm += weight * weight;
      }
    }
    if (sums === undefined) continue;
    sums[2 * (row - from)] = error;
    sums[2 * (row - from) + 1] = norm;
  }
}

/** Least and largest weight of rows `from` to `to`, 0 included: for one range over the whole tensor. Errors: `malformed-file` as `roundGroups`. */
export function rangeOfRows(target: RoundingTarget, from: number, to: number): readonly [low: number, high: number] {
  const rows = new MatrixRows(target.weights, target.rows, target.columns, target.options.transposed === true);
  const range = new Float64Array(2);
  let [low, high] = [0, 0];
  for (let row = from; row < to; row += 1) {
    const start = rows.at(row);
    if (!rangeOf(rows.bits, start, start + target.columns, range)) throw notFinite(target, rows, row, 0);
    low = Math.min(low, range[0] as number);
    high = Math.max(high, range[1] as number);
  }
  return [low, high];
}

/** Gives every row the scale and zero point that one range over all weights has. With `clip` this reads all weights several times. */
export function placeTensor(target: RoundingTarget, low: number, high: number): void {
  const { rows, columns, scales, zeroPoints, options } = target;
  const placing = new Placing(target);
  const whole = new MatrixRows(target.weights, rows, columns, options.transposed === true, options.clip === true ? rows : undefined);
  placing.placeRange(whole, whole.at(0), whole.at(0) + rows * columns, 0, low, high);
  scales.fill(placing.scale);
  zeroPoints.fill(placing.zero);
}

/** Finds scales and zero points. Gives them in fields, so that a group costs no allocation. */
class Placing {
  scale = 1;
  zero = 0;
  private readonly range = new Float64Array(2);
  private readonly stored: Float32Array | undefined;

  constructor(private readonly target: RoundingTarget) {
    this.stored = target.options.scaleDType === 'float16' ? tableOf('float16') : undefined;
  }

  /** For the weights from `start` to `end`, the first of which is in `column`; false where one is not finite. */
  place(rows: MatrixRows, start: number, end: number, column: number): boolean {
    if (!rangeOf(rows.bits, start, end, this.range)) return false;
    this.placeRange(rows, start, end, column, this.range[0] as number, this.range[1] as number);
    return true;
  }

  placeRange(rows: MatrixRows, start: number, end: number, column: number, lowest: number, highest: number): void {
    const { name, columns, options } = this.target;
    const { bits, symmetric, importance } = options;
    const high = symmetric ? Math.max(highest, -lowest) : highest;
    const low = symmetric ? -high : lowest;
    this.scale = low === high ? 1 : storedScale(name, (high - low) / (2 ** bits - 1), this.stored);
    this.zero = symmetric ? 2 ** (bits - 1) : Math.fround(-low / this.scale) + halfEvenShift - halfEvenShift;
    if (!Number.isFinite(Math.fround(Math.max(this.zero, 2 ** bits - 1 - this.zero) * this.scale))) throw levelsOverflow(name, low, high);
    if (options.clip !== true || low === high) return;
    leastErrorRange(
      { weights: rows.values, start, end, column, columns, importance, bits, symmetric, stored: this.nearestScale },
      low,
      high,
      [this.scale, this.zero],
      this.range,
    );
    this.scale = this.range[0] as number;
    this.zero = this.range[1] as number;
  }

  private readonly nearestScale = (scale: number): number => {
    const rounded = this.stored === undefined ? Math.fround(scale) : (this.stored[numberToFloat16(scale)] as number);
    return rounded < Infinity ? rounded : 0;
  };
}

function roundStretch(
  weights: Float32Array,
  start: number,
  end: number,
  codes: Uint8Array,
  /** Added to the place of a weight: the place of its code. */
  codeOffset: number,
  scale: number,
  zero: number,
  top: number,
): void {
  const shift = halfEvenShift;
  for (let index = start; index < end; index += 1) {
    const level = Math.fround((weights[index] as number) / scale) + shift - shift + zero;
    codes[index + codeOffset] = level < 0 ? 0 : level > top ? top : level;
  }
}

const infinityBits = 0x7f800000;
const bitsScratch = new Int32Array(2);
const floatScratch = new Float32Array(bitsScratch.buffer);

/**
 * Puts the least and the largest weight, 0 included, into `range`; false where a weight is not finite. Works on the bits of the float32 weights: those
 * of numbers of one sign are in the order of their magnitudes, and integers need no branch that random weights would mispredict (measured: more
 * than twice as fast as comparing floats).
 */
function rangeOf(bits: Int32Array, start: number, end: number, range: Float64Array): boolean {
  let positive = 0;
  let negative = 0;
  for (let index = start; index < end; index += 1) {
    const word = bits[index] as number;
    const sign = word >> 31;
    const magnitude = word & 0x7fffffff;
    // max(a, b) = a - ((a - b) & ((a - b) >> 31)); magnitudes of the other sign count as 0.
    const above = (positive - (magnitude & ~sign)) | 0;
    positive = (positive - (above & (above >> 31))) | 0;
    const below = (negative - (magnitude & sign)) | 0;
    negative = (negative - (below & (below >> 31))) | 0;
  }
  bitsScratch[0] = negative;
  bitsScratch[1] = positive;
  range[0] = negative === 0 ? 0 : -(floatScratch[0] as number);
  range[1] = floatScratch[1] as number;
  return positive < infinityBits && negative < infinityBits;
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
    `Tensor '${name}' needs a step of ${exact.toPrecision(3)} between levels; float16 scales go up to 65504. Use float32 scales (--scales float32).`,
    { tensor: name, scale: exact },
  );
}

function levelsOverflow(name: string, low: number, high: number): LoomweightError {
  return new LoomweightError(
    'invalid-argument',
    `Tensor '${name}' has weights from ${low.toPrecision(3)} to ${high.toPrecision(3)}; the levels that cover them exceed the largest float32. Exclude it with --tensors.`,
    { tensor: name, low, high },
  );
}

function notFinite({ name, columns }: RoundingTarget, rows: MatrixRows, row: number, fromColumn: number): LoomweightError {
  const start = rows.at(row);
  let column = fromColumn;
  while (column < columns - 1 && Number.isFinite(rows.values[start + column])) column += 1;
  const value = String(rows.values[start + column]);
  return new LoomweightError(
    'malformed-file',
    `Tensor '${name}' holds ${value} at row ${row}, column ${column}; only finite weights can be rounded. Repair it or exclude it with --tensors.`,
    { tensor: name, row, column, value },
  );
}
