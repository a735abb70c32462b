import { int, type GraphBuilder } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Value } from '../../graph/graph';
import { collectClass, groupCount, groupsByWidth, spreadClass, type GroupGrid } from '../../formats/archive/widthClasses';
import type { TensorBytes } from './matrixForm';
import { packPlane, planesOf, unpackPlane, type Plane } from '../../kernels/host/packBits';
import { groupTrace, LayoutMismatch, planeType, planeTypes, type PieceType, type PieceTypes, type Trace } from './pieceTypes';
import { asFloat32 } from './scales';
import { unpackedPlane } from './selfUnpacking';
import type { StoredPieces } from './storedTensor';

/** How many groups have which width, widths ascending. */
export interface WidthClass {
  readonly bits: number;
  readonly groups: number;
}

/** Levels of groups of different widths, as stored in an ONNX file; contains no values. */
export interface MixedLayout {
  readonly grid: GroupGrid;
  readonly classes: readonly WidthClass[];
  /** Ending of the pieces' names begins with this. */
  readonly prefix: string;
}

/** Planes of a width of up to 15 bits: a whole byte first, then the rest. */
function widePlanes(bits: number): readonly { readonly plane: Plane; readonly byte: number }[] {
  const low = planesOf(Math.min(bits, 8)).map((plane) => ({ plane, byte: 0 }));
  return bits <= 8 ? low : [...low, ...planesOf(bits - 8).map((plane) => ({ plane, byte: 1 }))];
}

const pieceName = (prefix: string, bits: number, byte: number, { shift }: Plane) => `${prefix}bits${bits}.plane${8 * byte + shift}`;

function tableBitsOf(classes: readonly WidthClass[]): number {
  return Math.ceil(Math.log2(Math.max(1, classes.length)));
}

/**
 * How groups are counted in a graph: in rows of `length` groups, with one counter of `counterBits` bits for each class in a 31-bit number. Every count
 * of a row fits its counter.
 */
function countingRows(layout: MixedLayout): { readonly counterBits: number; readonly length: number; readonly rows: number } {
  const counterBits = Math.max(1, Math.floor(31 / layout.classes.length));
  const length = 2 ** (counterBits - 1);
  return { counterBits, length, rows: Math.ceil(groupCount(layout.grid) / length) };
}

/** Entries of a class with every group filled up to whole length. */
function paddedEntries(grid: GroupGrid, { groups }: WidthClass): number {
  return groups * grid.groupSize;
}

/** Classes of the widths that occur, and the layout they give. */
export function mixedLayout(grid: GroupGrid, bits: Uint8Array, prefix: string): MixedLayout {
  const classes = [...groupsByWidth(bits).entries()].filter(([, groups]) => groups > 0).map(([width, groups]) => ({ bits: width, groups }));
  return { grid, classes, prefix };
}

/**
 * Packs levels: for each width the groups of that width one after the other, short groups filled up with zeros, cut into planes of 8, 4, 2 and 1 bits;
 * and the number of each group's class, packed in planes and filled up to whole counting rows, where there are several.
 */
export function encodeLevels(levels: Uint8Array | Uint16Array, bits: Uint8Array, layout: MixedLayout): Record<string, TensorBytes> {
  const { grid, classes, prefix } = layout;
  const pieces: Record<string, TensorBytes> = {};
  const put = (name: string, codes: Uint8Array, plane: Plane) => {
    const bytes = packPlane(codes, plane);
    const nibbles = plane.width === 4;
    pieces[name] = { dtype: nibbles ? 'uint4' : 'uint8', shape: [nibbles ? codes.length : bytes.length], bytes };
  };
  if (classes.length > 1) {
    const indices = new Uint8Array(16);
    for (const [index, { bits: width }] of classes.entries()) indices[width] = index;
    const { length, rows } = countingRows(layout);
    const table = new Uint8Array(length * rows);
    for (let group = 0; group < bits.length; group += 1) table[group] = indices[bits[group] as number] as number;
    for (const plane of planesOf(tableBitsOf(classes))) put(`${prefix}widths.plane${plane.shift}`, table, plane);
  }
  for (const each of classes) {
    if (each.bits === 0) continue;
    const collected = new Uint16Array(paddedEntries(grid, each));
    collectPadded(levels, grid, bits, each.bits, collected);
    const bytes = [byteOf(collected, 0), each.bits > 8 ? byteOf(collected, 8) : new Uint8Array(0)];
    for (const { plane, byte } of widePlanes(each.bits)) put(pieceName(prefix, each.bits, byte, plane), bytes[byte] as Uint8Array, plane);
  }
  return pieces;
}

/** Types of the pieces of `encodeLevels`. */
export function levelTypes(layout: MixedLayout): PieceTypes {
  const { grid, classes, prefix } = layout;
  const types: Record<string, PieceType> = {};
  if (classes.length > 1) {
    const { length, rows } = countingRows(layout);
    Object.assign(types, planeTypes(`${prefix}widths.`, tableBitsOf(classes), length * rows));
  }
  for (const each of classes)
    if (each.bits > 0)
      for (const { plane, byte } of widePlanes(each.bits))
        types[pieceName(prefix, each.bits, byte, plane)] = planeType(plane, paddedEntries(grid, each));
  return types;
}

/** What the nodes of `unpackLevels` show: how many groups of which length each width has. */
export function levelTraces({ grid, classes, prefix }: MixedLayout): readonly Trace[] {
  return classes.flatMap((each) =>
    each.bits === 0 ? [] : [groupTrace(`${prefix}bits${each.bits}.plane0`, [each.groups, grid.groupSize])],
  );
}

/** The inverse of `encodeLevels`. Errors: `LayoutMismatch` where the table of widths does not count the groups that the layout has. */
export function decodeLevels(
  pieces: Readonly<Record<string, TensorBytes>>,
  layout: MixedLayout,
): { readonly levels: Uint16Array; readonly bits: Uint8Array } {
  const { grid, classes, prefix } = layout;
  const counting = classes.length > 1 ? countingRows(layout) : { length: groupCount(grid), rows: 1 };
  const table = new Uint8Array(counting.length * counting.rows);
  if (classes.length > 1)
    for (const plane of planesOf(tableBitsOf(classes))) unpackPlane(pieces[`${prefix}widths.plane${plane.shift}`]!.bytes, plane, table);
  const bits = table.subarray(0, groupCount(grid));
  const counts = classes.map(() => 0);
  for (let group = 0; group < bits.length; group += 1) {
    const index = bits[group] as number;
    if (counts[index] !== undefined) counts[index] += 1;
    bits[group] = classes[index]?.bits ?? 255;
  }
  const expected = classes.map(({ groups }) => groups).join(', ');
  if (counts.join(', ') !== expected)
    throw new LayoutMismatch(
      `${prefix}widths`,
      `${expected} groups of ${classes.map(({ bits: width }) => width).join(', ')} bits`,
      counts.join(', '),
    );
  const levels = new Uint16Array(grid.rows * grid.columns);
  for (const each of classes) {
    if (each.bits === 0) continue;
    const collected = new Uint16Array(paddedEntries(grid, each));
    for (const byte of [0, 1]) {
      const codes = new Uint8Array(collected.length);
      for (const { plane, byte: place } of widePlanes(each.bits))
        if (place === byte) unpackPlane(pieces[pieceName(prefix, each.bits, byte, plane)]!.bytes, plane, codes);
      for (let index = 0; index < codes.length; index += 1)
        collected[index] = (collected[index] as number) | ((codes[index] as number) << (8 * byte));
    }
    spreadPadded(collected, grid, bits, each.bits, levels);
  }
  return { levels, bits };
}

/** Unpacked levels in a graph. */
export interface UnpackedLevels {
  /** [groups, groupSize], groups in their order; uint8, or float32 where a width has more than 8 bits. */
  readonly levels: Value;
  /** Puts values [groups, 1], given class by class, into the order of the groups. */
  arrange(sorted: Value): Value;
  /** One value for each class, [classes], as [groups, 1], or [1, 1] where there is one class. */
  byClass(values: Value): Value;
}

/**
 * Rebuilds levels with standard operators that the runtime folds at load. The classes are stored one after the other; the position of each of their groups follows
 * from the table of widths, and a single Gather moves all of them there.
 */
export function unpackLevels(build: GraphBuilder, stored: StoredPieces, { grid, classes, prefix }: MixedLayout): UnpackedLevels {
  const { groupSize } = grid;
  const total = groupCount(grid);
  const wide = classes.some(({ bits }) => bits > 8);
  const unpackClass = (each: WidthClass): Value => {
    const count = paddedEntries(grid, each);
    if (each.bits === 0) {
      const zero = build.constant({ kind: 'inline', dtype: 'uint8', shape: [1, 1], bytes: new Uint8Array(1) });
      const zeros = build.op('Expand', [zero, build.int64([each.groups, groupSize])]);
      return wide ? asFloat32(build, zeros) : zeros;
    }
    const byteOf = (byte: number): Value | undefined =>
      widePlanes(each.bits)
        .filter((item) => item.byte === byte)
        .map(({ plane }) => unpackedPlane(build, stored[pieceName(prefix, each.bits, byte, plane)]!, plane, count))
        .reduce<Value | undefined>((sum, plane) => (sum === undefined ? plane : build.op('Add', [sum, plane])), undefined);
    const low = byteOf(0)!;
    const high = byteOf(1);
    const narrow = wide ? asFloat32(build, low) : low;
    const whole = high === undefined ? narrow : build.op('Add', [narrow, build.op('Mul', [asFloat32(build, high), build.float32(256)])]);
    return build.op('Reshape', [whole, build.int64([each.groups, groupSize])]);
  };
  const sorted = joined(build, classes.map(unpackClass));
  if (classes.length <= 1)
    return {
      levels: sorted,
      arrange: (values) => values,
      byClass: (values) => build.op('Reshape', [values, build.int64([1, 1])]),
    };
  const { indices, places } = placesOfGroups(build, stored, { grid, classes, prefix });
  const arrange = (values: Value) => build.op('Gather', [values, places], { axis: int(0) });
  return {
    levels: arrange(sorted),
    arrange,
    byClass: (values) => build.op('Reshape', [build.op('Gather', [values, indices], { axis: int(0) }), build.int64([total, 1])]),
  };
}

/**
 * The class of every group, and its place among the groups sorted by class: groups of earlier classes, and those of its own before it. Counted by running
 * sums, first inside rows with all classes in one number, then over rows. NonZero would be shorter, but the runtime does not fold it.
 */
function placesOfGroups(
  build: GraphBuilder,
  stored: StoredPieces,
  layout: MixedLayout,
): { readonly indices: Value; readonly places: Value } {
  const { grid, classes, prefix } = layout;
  const total = groupCount(grid);
  const { counterBits, length, rows } = countingRows(layout);
  const planes = planesOf(tableBitsOf(classes)).map((plane) =>
    unpackedPlane(build, stored[`${prefix}widths.plane${plane.shift}`]!, plane, rows * length),
  );
  const table = planes.reduce((sum, plane) => build.op('Add', [sum, plane]));
  const classOf = build.op('Cast', [build.op('Reshape', [table, build.int64([rows, length])])], {
    to: int(elementTypeOf('int32') as number),
  });
  const units = classes.map((_, index) => 2 ** (counterBits * index));
  const modulus = whole(build, [2 ** counterBits]);
  const counterOf = (counts: Value, unit: Value) => build.op('Mod', [build.op('Div', [counts, unit]), modulus]);
  const unit = build.op('Gather', [whole(build, units), classOf], { axis: int(0) });
  const running = build.op('CumSum', [unit, build.int64(1)]);
  const rowTotals = build.op('Slice', [running, build.int64([length - 1]), build.int64([length]), build.int64([1])]);
  const before = build.op('CumSum', [counterOf(rowTotals, whole(build, units)), build.int64(0)], { exclusive: int(1) });
  let start = -1;
  const starts = classes.map(({ groups }) => (start += groups) - groups);
  const bases = build.op('Add', [before, whole(build, starts)]);
  const place = build.op('Add', [counterOf(running, unit), build.op('GatherElements', [bases, classOf], { axis: int(1) })]);
  const flat = (value: Value): Value => {
    const all = build.op('Reshape', [value, build.int64([rows * length])]);
    return rows * length === total ? all : build.op('Slice', [all, build.int64([0]), build.int64([total]), build.int64([0])]);
  };
  return { indices: flat(classOf), places: flat(place) };
}

/** int32 constants. */
function whole(build: GraphBuilder, values: readonly number[]): Value {
  const bytes = new Uint8Array(Int32Array.from(values).buffer);
  return build.constant({ kind: 'inline', dtype: 'int32', shape: [values.length], bytes });
}

function joined(build: GraphBuilder, parts: readonly Value[]): Value {
  return parts.length === 1 ? (parts[0] as Value) : build.op('Concat', parts, { axis: int(0) });
}

function byteOf(levels: Uint16Array, shift: number): Uint8Array {
  const bytes = new Uint8Array(levels.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = (levels[index] as number) >>> shift;
  return bytes;
}

/** Collects a class with every group in `groupSize` places. */
function collectPadded(levels: Uint8Array | Uint16Array, grid: GroupGrid, bits: Uint8Array, width: number, target: Uint16Array): void {
  const { rows, columns, groupSize } = grid;
  if (columns % groupSize === 0) return void collectClass(levels, grid, bits, width, target);
  let group = 0;
  let position = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      if (bits[group] !== width) continue;
      const from = row * columns + column;
      target.set(levels.subarray(from, row * columns + Math.min(column + groupSize, columns)), position);
      position += groupSize;
    }
}

function spreadPadded(source: Uint16Array, grid: GroupGrid, bits: Uint8Array, width: number, levels: Uint16Array): void {
  const { rows, columns, groupSize } = grid;
  if (columns % groupSize === 0) return spreadClass(source, grid, bits, width, levels);
  let group = 0;
  let position = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      if (bits[group] !== width) continue;
      const length = Math.min(groupSize, columns - column);
      levels.set(source.subarray(position, position + length), row * columns + column);
      position += groupSize;
    }
}
