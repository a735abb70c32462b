import { float16ToNumber } from '../../../common/halfFloat';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { ConstantData } from '../types';

/** How a constant is combined with activations: added, multiplied, or looked up by row. */
export type TableUse = 'sum' | 'product' | 'lookup';

/** Masks add this value or less to a score so that its softmax is 0. Exporters write -1e4, the lowest float of the type, or -infinity. */
const veryNegative = -1000;
/** Tables with fewer rows reveal too little about their columns. */
const leastWaveRows = 8;
/** Largest deviation from a wave, as a share of the column's largest value: tables may also be stored in float16. */
const waveTolerance = 0.02;

/**
 * True for constants that are not trained although they are used like weights, recognised by their values:
 *
 *   additive masks         only 0 and very negative numbers, with at least one of the latter; a square of zeros only (a mask that masks nothing)
 *   multiplicative masks   only 0 and 1, both of them
 *   positions              [.., rows, columns] in which every column is a wave or a straight line along the rows: sines, cosines, ALiBi
 *
 * An added table [tokens, width] of other numbers is a learned position embedding. So is an embedding of zeros only, never trained.
 */
export function isFixedTable(data: ConstantData, use: TableUse): boolean {
  const values = valuesOf(data);
  if (values === undefined) return false;
  if (use === 'sum' && isMaskOfSum(values, data.shape)) return true;
  if (use === 'product' && values.every((value: number) => value === 0 || value === 1) && values.includes(0) && values.includes(1))
    return true;
  return hasWaves(values, data.shape);
}

/** True if more than one axis is longer than 1, so that this is not a bias or scale along one axis. */
export function isTable(shape: readonly number[]): boolean {
  return shape.filter((length) => length > 1).length > 1;
}

function isMaskOfSum(values: Numbers, shape: readonly number[]): boolean {
  if (!values.every((value: number) => value === 0 || value <= veryNegative)) return false;
  if (values.some((value: number) => value !== 0)) return true;
  return isTable(shape) && shape.at(-1) === shape.at(-2);
}

/** A wave sin(a k + b) along rows k satisfies v[k - 1] + v[k + 1] = 2 cos(a) v[k]; a straight line satisfies the same with 2. */
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

/** Undefined for external data and for rare types: they count as weights. */
function valuesOf(data: ConstantData): Numbers | undefined {
  const read = data.kind === 'inline' ? readers[data.dtype] : undefined;
  if (data.kind !== 'inline' || read === undefined) return undefined;
  // The bytes may start at any offset of a file; copy only those that are not aligned for a typed array.
  const { buffer, byteOffset } = data.bytes.byteOffset % 8 === 0 ? data.bytes : new Uint8Array(data.bytes);
  return read(buffer, byteOffset, elementCount(data.shape));
}
