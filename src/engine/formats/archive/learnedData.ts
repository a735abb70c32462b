import { learnedGroupSize, learnedValues, widestLearned } from './dequantizeLearned';
import type { LearnedTensor } from './learnedTensor';
import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { quoteName } from '../malformed';
import { packPlanes, planeBytes, unpackPlanes, type Levels } from './bitPlanes';
import type { LearnedFields } from './tensorKinds';
import { collectClass, entriesByWidth, groupsByWidth, spreadClass, type GroupGrid } from './widthClasses';

/** Minimum and maximum as float32, and the bits of a table entry. */
const fixedBytes = 9;

/** A learned tensor with its groups counted, ready to be written. */
export interface EncodedTensor<Fields> {
  readonly fields: Omit<Fields, 'data'>;
  readonly bytes: Uint8Array;
}

/**
 * Encodes a learned tensor: minimum, maximum (float32), bits of a table entry (one byte), the table of widths relative to the smallest
 * width as bit planes, then, for each width in ascending order, the levels of all its groups as bit planes. Errors: `invalid-argument` for
 * a tensor with inconsistent parts.
 */
export function encodeLearned(tensor: LearnedTensor): EncodedTensor<LearnedFields> {
  const { name, shape, transposed, groupSize, bits, levels, bitsOfWidth } = tensor;
  checkLearned(tensor);
  const grid: GroupGrid = { rows: 1, columns: levels.length, groupSize: learnedGroupSize(tensor) };
  const counts = groupsByWidth(bits);
  const entries = entriesByWidth(grid, bits);
  const groups = [...counts.entries()].filter(([, count]) => count > 0);
  const smallest = groups[0]?.[0] ?? 0;
  const length =
    fixedBytes +
    planeBytes(bits.length, bitsOfWidth) +
    groups.reduce((sum, [width]) => sum + planeBytes(entries[width] as number, width), 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setFloat32(0, tensor.minimum, true);
  view.setFloat32(4, tensor.maximum, true);
  view.setUint8(8, bitsOfWidth);
  let position = packPlanes(
    bits.map((width) => width - smallest),
    bits.length,
    bitsOfWidth,
    bytes,
    fixedBytes,
  );
  const buffer = new Uint16Array(entries.reduce((most, count) => Math.max(most, count), 0));
  for (const [width] of groups) {
    const count = collectClass(levels, grid, bits, width, buffer);
    position = packPlanes(buffer, count, width, bytes, position);
  }
  return { fields: { name, kind: 'learned', shape, transposed, groupSize, groups }, bytes };
}

/** Contents of a learned tensor's bytes besides its levels. */
interface LearnedParts {
  readonly minimum: number;
  readonly maximum: number;
  readonly bitsOfWidth: number;
  readonly bits: Uint8Array;
  readonly grid: GroupGrid;
  readonly levelsAt: number;
  readonly entries: Float64Array;
}

/** The inverse of `encodeLearned`. `fail` creates the error for a position in the data. */
export function decodeLearned(fields: LearnedFields, bytes: Uint8Array, fail: (place: number, message: string) => Error): LearnedTensor {
  const { name, shape, transposed, groupSize } = fields;
  const { minimum, maximum, bitsOfWidth, bits, grid, levelsAt, entries } = readParts(fields, bytes, fail);
  const levels = new Uint16Array(grid.columns);
  eachClass(bytes, levelsAt, entries, (width, buffer) => spreadClass(buffer, grid, bits, width, levels));
  return { name, shape, transposed, groupSize, bits, minimum, maximum, levels, bitsOfWidth };
}

/** Only the float32 weights, without an array of levels. Canonical order. */
export function decodeLearnedValues(
  fields: LearnedFields,
  bytes: Uint8Array,
  fail: (place: number, message: string) => Error,
): Float32Array {
  const { minimum, maximum, bits, grid, levelsAt, entries } = readParts(fields, bytes, fail);
  const values = new Float32Array(grid.columns);
  eachClass(bytes, levelsAt, entries, (width, buffer) =>
    spreadClass(buffer, grid, bits, width, values, learnedValues(minimum, maximum, width)),
  );
  return values;
}

function eachClass(bytes: Uint8Array, from: number, entries: Float64Array, use: (width: number, levels: Levels) => void): void {
  let position = from;
  const most = entries.reduce((largest, count) => Math.max(largest, count), 0);
  const buffer = new Uint16Array(most);
  for (let width = 0; width <= widestLearned; width += 1) {
    const count = entries[width] as number;
    if (count === 0) continue;
    position = unpackPlanes(bytes, position, count, width, buffer);
    use(width, buffer);
  }
}

function readParts(fields: LearnedFields, bytes: Uint8Array, fail: (place: number, message: string) => Error): LearnedParts {
  const count = elementCount(fields.shape);
  const groupSize = learnedGroupSize({ groupSize: fields.groupSize, levels: { length: count } });
  const grid: GroupGrid = { rows: 1, columns: count, groupSize };
  const groups = Math.ceil(count / groupSize);
  if (bytes.length < fixedBytes) throw fail(0, `it needs at least ${fixedBytes} bytes of data, but has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [minimum, maximum, bitsOfWidth] = [view.getFloat32(0, true), view.getFloat32(4, true), view.getUint8(8)];
  if (!Number.isFinite(minimum) || !Number.isFinite(maximum) || minimum > maximum)
    throw fail(0, `its minimum and maximum must be finite and ascending, got ${minimum} and ${maximum}`);
  if (bitsOfWidth > 4) throw fail(8, `entries of its table of widths have 0 to 4 bits, got ${bitsOfWidth}`);
  const levelsAt = fixedBytes + planeBytes(groups, bitsOfWidth);
  if (bytes.length < levelsAt)
    throw fail(fixedBytes, `its table of widths needs ${levelsAt - fixedBytes} bytes, but the data ends before that`);
  const bits = new Uint8Array(groups);
  unpackPlanes(bytes, fixedBytes, groups, bitsOfWidth, bits);
  const smallest = fields.groups[0]?.[0] ?? 0;
  for (let group = 0; group < groups; group += 1) bits[group] = Math.min((bits[group] as number) + smallest, 255);
  checkCounts(bits, fields.groups, (message) => fail(fixedBytes, message));
  const entries = entriesByWidth(grid, bits);
  const needed = entries.reduce((sum, each, width) => sum + planeBytes(each, width), levelsAt);
  if (needed !== bytes.length) throw fail(levelsAt, `its widths need ${needed} bytes, but its data has ${bytes.length}`);
  return { minimum, maximum, bitsOfWidth, bits, grid, levelsAt, entries };
}

/** The table of widths must match the counts in the header. */
export function checkCounts(
  bits: Uint8Array,
  counted: readonly (readonly [bits: number, groups: number])[],
  fail: (message: string) => Error,
): void {
  const wide = bits.find((width) => width > widestLearned);
  if (wide !== undefined) throw fail(`widths go up to ${widestLearned} bits, but the table has ${wide}`);
  const counts = groupsByWidth(bits);
  for (const [width, groups] of counted) {
    if (counts[width] !== groups)
      throw fail(`the header counts ${groups} groups of ${width} bits, but the table has ${counts[width] ?? 0}`);
    counts[width] = 0;
  }
  const other = counts.findIndex((groups) => groups > 0);
  if (other >= 0) throw fail(`the table has groups of ${other} bits, but the header counts none`);
}

function checkLearned(tensor: LearnedTensor): void {
  const { name, shape, bits, levels, bitsOfWidth, minimum, maximum } = tensor;
  const size = learnedGroupSize(tensor);
  const reject = (message: string) =>
    new LoomweightError('invalid-argument', `Tensor ${quoteName(name)} cannot be stored: ${message}.`, { tensor: name });
  if (elementCount(shape) !== levels.length)
    throw reject(`shape [${shape.join(', ')}] needs ${elementCount(shape)} levels, got ${levels.length}`);
  if (bits.length !== Math.ceil(levels.length / size))
    throw reject(`${levels.length} entries in groups of ${size} need ${Math.ceil(levels.length / size)} widths, got ${bits.length}`);
  if (tensor.transposed && shape.length !== 2) throw reject('only matrices can be stored transposed');
  if (!Number.isFinite(minimum) || !Number.isFinite(maximum) || minimum > maximum)
    throw reject(`its minimum ${minimum} and maximum ${maximum} must be finite and ascending`);
  let smallest = 255;
  let largest = 0;
  for (const width of bits) {
    smallest = Math.min(smallest, width);
    largest = Math.max(largest, width);
  }
  if (largest > widestLearned) throw reject(`widths go from 0 to ${widestLearned} bits, got ${largest}`);
  if (bits.length > 0 && (bitsOfWidth > 4 || largest - smallest >= 2 ** bitsOfWidth))
    throw reject(`widths from ${smallest} to ${largest} do not fit a table of ${bitsOfWidth} bits an entry`);
  for (let group = 0, from = 0; from < levels.length; group += 1, from += size) {
    const limit = 2 ** (bits[group] as number);
    for (let index = from; index < Math.min(from + size, levels.length); index += 1)
      if ((levels[index] as number) >= limit)
        throw reject(`level ${levels[index]} at position ${index} does not fit the ${bits[group]} bits of its group`);
  }
}
