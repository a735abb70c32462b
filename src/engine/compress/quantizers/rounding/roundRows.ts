import { numberToFloat16 } from '../../../../common/halfFloat';
import { halfEvenShift } from '../../../../common/rounding';
import { LoomweightError } from '../../../../protocol/errors';
import { tableOf } from '../../../formats/decode';
import { leastErrorRange } from './leastError';
import { MatrixRows, bufferWeights, rowMajor, type StoredMatrix } from './matrixRows';
import { roundingKernel, weightsAtOnce, type RoundingKernel } from './roundingKernel';
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
  // Groups that need no scalar loop go through the kernel together.
  const together = groupSize % weightsAtOnce === 0 && columns % groupSize === 0 ? groupsPerRow : 1;
  const { kernel, rows } = inKernel(target);
  const placing = new Placing(target, kernel);
  for (let row = from; row < to; row += 1) {
    const first = rows.at(row);
    kernel.sums.fill(0);
    for (let group = 0; group < groupsPerRow; group += together) {
      const column = group * groupSize;
      const start = first + column;
      const count = Math.min(groupSize, columns - column);
      const index = row * groupsPerRow + group;
      if (granularity !== 'tensor') {
        findRanges(kernel, start, count, together);
        for (let member = 0; member < together; member += 1) {
          const offset = member * count;
          if (!placing.place(member, start + offset, count, column + offset))
            throw notFinite(target, kernel.values, first, row, column + offset);
          scales[index + member] = placing.scale;
          zeroPoints[index + member] = placing.zero;
        }
      }
      for (let member = 0; member < together; member += 1) {
        kernel.scales[member] = scales[index + member] as number;
        kernel.zeros[member] = zeroPoints[index + member] as number;
      }
      roundInKernel(kernel, start, count, together, column, top);
    }
    codes.set(kernel.codes, row * columns);
    sums?.set(kernel.sums, 2 * (row - from));
  }
}

/** Least and largest weight of rows `from` to `to`, 0 included: for one range over the whole tensor. Errors: `malformed-file` as `roundGroups`. */
export function rangeOfRows(target: RoundingTarget, from: number, to: number): readonly [low: number, high: number] {
  const { kernel, rows } = inKernel(target);
  const range = new Float64Array(2);
  let [low, high] = [0, 0];
  for (let row = from; row < to; row += 1) {
    const start = rows.at(row);
    findRanges(kernel, start, target.columns, 1);
    if (!rangeOf(kernel, 0, range)) throw notFinite(target, kernel.values, start, row, 0);
    low = Math.min(low, range[0] as number);
    high = Math.max(high, range[1] as number);
  }
  return [low, high];
}

/** Gives every row the scale and zero point that one range over all weights has. With `clip` this reads all weights several times. */
export function placeTensor(target: RoundingTarget, low: number, high: number): void {
  const { rows, columns, scales, zeroPoints, options } = target;
  const placing = new Placing(target, roundingKernel());
  placing.placeRange(options.clip === true ? rowMajor(matrixOf(target)) : target.weights, 0, rows * columns, 0, low, high);
  scales.fill(placing.scale);
  zeroPoints.fill(placing.zero);
}

function matrixOf({ weights, rows, columns, options }: RoundingTarget): StoredMatrix {
  return { weights, rows, columns, transposed: options.transposed === true };
}

/** The kernel of this thread with room for a matrix, whose rows are read into it. */
function inKernel(target: RoundingTarget): { readonly kernel: RoundingKernel; readonly rows: MatrixRows } {
  const matrix = matrixOf(target);
  const kernel = roundingKernel();
  kernel.reserve(bufferWeights(matrix), target.columns, target.options.groupsPerRow);
  return { kernel, rows: new MatrixRows(matrix, kernel.values) };
}

/** Finds scales and zero points. Gives them in fields, so that a group costs no allocation. */
class Placing {
  scale = 1;
  zero = 0;
  private readonly range = new Float64Array(2);
  private readonly stored: Float32Array | undefined;
  /** Computed once: a power costs more than rounding a group. */
  private readonly top: number;
  private readonly middle: number;

  constructor(
    private readonly target: RoundingTarget,
    private readonly kernel: RoundingKernel,
  ) {
    this.top = 2 ** target.options.bits - 1;
    this.middle = 2 ** (target.options.bits - 1);
    this.stored = target.options.scaleDType === 'float16' ? tableOf('float16') : undefined;
  }

  /** For group `member` of the ranges: `count` weights from `start` on, the first of which is in `column`; false if one is not finite. */
  place(member: number, start: number, count: number, column: number): boolean {
    if (!rangeOf(this.kernel, member, this.range)) return false;
    this.placeRange(this.kernel.values, start, start + count, column, this.range[0] as number, this.range[1] as number);
    return true;
  }

  placeRange(weights: Float32Array, start: number, end: number, column: number, lowest: number, highest: number): void {
    const { name, columns, options } = this.target;
    const { bits, symmetric, importance } = options;
    const high = symmetric ? Math.max(highest, -lowest) : highest;
    const low = symmetric ? -high : lowest;
    this.scale = low === high ? 1 : storedScale(name, (high - low) / this.top, this.stored);
    this.zero = symmetric ? this.middle : Math.fround(-low / this.scale) + halfEvenShift - halfEvenShift;
    if (!Number.isFinite(Math.fround(Math.max(this.zero, this.top - this.zero) * this.scale))) throw levelsOverflow(name, low, high);
    if (options.clip !== true || low === high) return;
    leastErrorRange(
      { weights, start, end, column, columns, importance, bits, symmetric, stored: this.nearestScale },
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

/**
 * Rounds `groups` groups of `count` weights in the kernel from `start` on, the first of which is in `column`: codes and sums of errors are in the kernel. Several groups
 * only if `count` is a multiple of `weightsAtOnce`.
 */
function roundInKernel(kernel: RoundingKernel, start: number, count: number, groups: number, column: number, top: number): void {
  const whole = count - (count % weightsAtOnce);
  if (whole > 0) kernel.round(start, whole, groups, column, top);
  if (whole === count) return;
  const { values, codes, sums } = kernel;
  const [scale, zero] = [kernel.scales[0] as number, kernel.zeros[0] as number];
  const shift = halfEvenShift;
  let [error, norm] = [sums[0] as number, sums[1] as number];
  for (let index = whole; index < count; index += 1) {
    const weight = values[start + index] as number;
    const level = Math.fround(weight / scale) + shift - shift + zero;
    const code = level < 0 ? 0 : level > top ? top : level;
    codes[column + index] = code;
    const difference = (code - zero) * scale - weight;
    error += difference * difference;
    norm += weight * weight;
  }
  sums[0] = error;
  sums[1] = norm;
}

/**
 * Finds the ranges of `groups` groups of `count` weights in the kernel from `start` on. Works on the bits of the float32 weights: those of numbers of one sign are in
 * the order of their magnitudes. Several groups only if `count` is a multiple of `weightsAtOnce`.
 */
function findRanges(kernel: RoundingKernel, start: number, count: number, groups: number): void {
  const whole = count - (count % weightsAtOnce);
  if (whole > 0) kernel.range(start, whole, groups);
  if (whole === count) return;
  const { bits, rangeBits } = kernel;
  let [positive, negative] = whole > 0 ? [rangeBits[0] as number, rangeBits[1] as number] : [0, 0];
  for (let index = start + whole; index < start + count; index += 1) {
    const word = bits[index] as number;
    const magnitude = word & 0x7fffffff;
    if (word < 0) negative = Math.max(negative, magnitude);
    else positive = Math.max(positive, magnitude);
  }
  rangeBits[0] = positive;
  rangeBits[1] = negative;
}

const infinityBits = 0x7f800000;

/** Puts the least and the largest weight of a group, 0 included, into `range`; false if a weight is not finite. */
function rangeOf({ ranges, rangeBits }: RoundingKernel, group: number, range: Float64Array): boolean {
  range[0] = rangeBits[2 * group + 1] === 0 ? 0 : -(ranges[2 * group + 1] as number);
  range[1] = ranges[2 * group] as number;
  return (rangeBits[2 * group] as number) < infinityBits && (rangeBits[2 * group + 1] as number) < infinityBits;
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

function notFinite(
  { name, columns }: RoundingTarget,
  values: Float32Array,
  start: number,
  row: number,
  fromColumn: number,
): LoomweightError {
  let column = fromColumn;
  while (column < columns - 1 && Number.isFinite(values[start + column])) column += 1;
  const value = String(values[start + column]);
  return new LoomweightError(
    'malformed-file',
    `Tensor '${name}' contains ${value} at row ${row}, column ${column}; only finite weights can be rounded. Repair it, or exclude it with --tensors.`,
    { tensor: name, row, column, value },
  );
}
