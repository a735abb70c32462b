import { float16ToNumber } from '../../../common/halfFloat';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { ConstantData } from '../types';

/** How a constant meets activations: added to them, multiplied with them, or looked up by row. */
export type TableUse = 'sum' | 'product' | 'lookup';

/** What masks add to a score so that its softmax is 0: this or less. Exporters write -1e4, the least float of the type, or -infinity. */
const veryNegative = -1000;
/** Tables of fewer rows say too little about their columns. */
const leastWaveRows = 8;
/** Largest departure from a wave, as a share of the column's largest value: tables come in halves too. */
const waveTolerance = 0.02;

/**
 * True for constants that nobody trains although they stand where weights do, told by their values:
 *
 *   masks of sums        nothing but 0 and very negative numbers, at least one of these; a square of zeros only (a mask that masks nothing)
 *   masks of products    nothing but 0 and 1, both of them
 *   positions            [.., rows, columns] of which every column is a wave or a straight line along the rows: sines, cosines, ALiBi
 *
 * A table [tokens, width] of other numbers that is added is a learned position embedding. An embedding of zeros only, never trained, is one too.
 */
export function isFixedTable(data: ConstantData, use: TableUse): boolean {
  const values = valuesOf(data);
  if (values === undefined) return false;
  if (use === 'sum' && isMaskOfSum(values, data.shape)) return true;
  if (use === 'product' && values.every((value: number) => value === 0 || value === 1) && values.includes(0) && values.includes(1))
    return true;
  return hasWaves(values, data.shape);
}

/** True where more than one axis is longer than 1: not a bias or scale along one axis. */
export function isTable(shape: readonly number[]): boolean {
  return shape.filter((length) => length > 1).length > 1;
}

function isMaskOfSum(values: Numbers, shape: readonly number[]): boolean {
  if (!values.every((value: number) => value === 0 || value <= veryNegative)) return false;
  if (values.some((value: number) => value !== 0)) return true;
  return isTable(shape) && shape.at(-1) === shape.at(-2);
}

/** A wave sin(a k + b) along rows k satisfies v[k - 1] + v[k + 1] = 2 cos(a) v[k], a straight line the same with 2. */
function hasWaves(values: Numbers, shape: readonly number[]): boolean {
  const [rows = 0, columns = 0] = shape.slice(-2);
  if (shape.length < 2 || rows < leastWaveRows) return false;
  let changes = false;
  for (let start = 0; start < values.length; start += rows * columns)
    for (let column = 0; column < columns; column += 1) {
      const at = (row: number): number => values[start + row * columns + column] as number;
      let products = 0;
      let squares = 0;
      let largest = Math.abs(at(0));
      for (let row = 1; row < rows; row += 1) {
        if (at(row) !== at(0)) changes = true;
        largest = Math.max(largest, Math.abs(at(row)));
        if (row === rows - 1) continue;
        products += (at(row - 1) + at(row + 1)) * at(row);
        squares += at(row) ** 2;
      }
      const factor = squares === 0 ? 0 : products / squares;
      for (let row = 1; row < rows - 1; row += 1)
        if (!(Math.abs(at(row - 1) + at(row + 1) - factor * at(row)) <= waveTolerance * largest)) return false;
    }
  return changes;
}

type Numbers = Float32Array | Float64Array;

const readers: Readonly<Partial<Record<DType, (buffer: ArrayBufferLike, start: number, count: number) => Numbers>>> = {
  float32: (buffer, start, count) => new Float32Array(buffer, start, count),
  float64: (buffer, start, count) => new Float64Array(buffer, start, count),
  float16: (buffer, start, count) => Float32Array.from(new Uint16Array(buffer, start, count), float16ToNumber),
};

/** Undefined for data that is not in memory and for rarer types: they count as weights. */
function valuesOf(data: ConstantData): Numbers | undefined {
  const read = data.kind === 'inline' ? readers[data.dtype] : undefined;
  if (data.kind !== 'inline' || read === undefined) return undefined;
  // The bytes may start anywhere in a file; only such that a typed array cannot start on are copied.
  const { buffer, byteOffset } = data.bytes.byteOffset % 8 === 0 ? data.bytes : new Uint8Array(data.bytes);
  return read(buffer, byteOffset, elementCount(data.shape));
}
