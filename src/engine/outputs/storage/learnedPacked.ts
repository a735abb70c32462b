import { learnedGroupSize, learnedStep } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { matrixOf } from '../../formats/archive/tensorKinds';
import { groupCount } from '../../formats/archive/widthClasses';
import { ints, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { digestOfArrays } from '../planned/fingerprint';
import type { TensorBytes } from './matrixForm';
import {
  decodeLevels,
  encodeLevels,
  levelTraces,
  levelTypes,
  mixedLayout,
  unpackLevels,
  type MixedLayout,
  type WidthClass,
} from './mixedLevels';
import type { PieceType, PieceTypes } from './pieceTypes';
import { asFloat32, decodeScales } from './scales';
import type { EncodedTensor, StoredPieces, StoredTensor } from './storedTensor';
import { matrixParts, matrixUses, turnedIf, type MatrixPart } from './unpackedMatrix';

/** One part: rows of the matrix, and the groups that hold them (a group that crosses the border is in both parts). */
interface LearnedPart extends MatrixPart {
  readonly layout: MixedLayout;
  /** First entry of the part's groups in the tensor. */
  readonly start: number;
}

/** What a report says of a part: its rows, its groups, and how many of them have which width. */
interface PartDetails extends MatrixPart {
  readonly start: number;
  readonly columns: number;
  readonly groupSize: number;
  readonly classes: readonly WidthClass[];
}

/** Name of the form in reports. */
export const learnedForm = 'learned-packed';

/**
 * A tensor of learned widths as packed integers with standard operators that rebuild its float32 weights, bit for bit those of `dequantizeLearned`:
 *   weight = level * step(width) + minimum         Mul and Add, each rounded to float32
 * Stored for each part of less than 1 GiB: the levels by width (see mixedLevels), `steps` and `offsets` float32, one for each width (offset 0 for pruned
 * groups, else the minimum). `limit` is for tests.
 */
export function storeLearned(tensor: LearnedTensor, limit?: number): EncodedTensor {
  const { rows, columns } = matrixOf(tensor.shape);
  const parts = partsOf(tensor, rows, columns, limit);
  const pieces: Record<string, TensorBytes> = {};
  for (const { layout, start } of parts) {
    const { grid, classes, prefix } = layout;
    const size = learnedGroupSize(tensor);
    const first = Math.floor(start / size);
    const levels = tensor.levels.subarray(start, start + grid.columns);
    const bits = tensor.bits.subarray(first, first + groupCount(grid));
    Object.assign(
      pieces,
      encodeLevels(levels, classes.length > 1 ? bits : new Uint8Array(groupCount(grid)).fill(tensor.bits[0] ?? 0), layout),
    );
    pieces[`${prefix}steps`] = floats(classes.map((each) => learnedStep(tensor.minimum, tensor.maximum, each.bits)));
    pieces[`${prefix}offsets`] = floats(classes.map((each) => (each.bits === 0 ? 0 : Math.fround(tensor.minimum))));
  }
  return { pieces, stored: storedParts(rows, columns, parts) };
}

/** A tensor as `storeLearned` stored it. */
export function storedLearned(rows: number, columns: number, parts: readonly PartDetails[]): StoredTensor {
  const whole = parts.map(({ from, to, start, columns: entries, groupSize, classes }, index): LearnedPart => {
    const grid = { rows: 1, columns: entries, groupSize };
    return { from, to, start, layout: { grid, classes, prefix: `part${index}.` } };
  });
  return storedParts(rows, columns, whole);
}

function storedParts(rows: number, columns: number, parts: readonly LearnedPart[]): StoredTensor {
  return {
    form: learnedForm,
    details: {
      parts: parts.map(({ from, to, start, layout: { grid, classes } }): PartDetails => {
        return { from, to, start, columns: grid.columns, groupSize: grid.groupSize, classes };
      }),
    },
    rows,
    columns,
    opset: 21,
    types: Object.assign({}, ...parts.map(partTypes)) as PieceTypes,
    traces: parts.flatMap(({ layout }) => levelTraces(layout)),
    decode: (read) => {
      const values = new Float32Array(rows * columns);
      for (const part of parts) decodePart(read, part, values);
      return { fingerprint: digestOfArrays([values]), weights: (target) => (target ? (target.set(values), target) : values) };
    },
    ...matrixUses(rows, columns, parts, (build, stored, part, turned) => unpackedPart(build, stored, part, columns, turned)),
  };
}

function partTypes({ layout }: LearnedPart): PieceTypes {
  const values: PieceType = { dtypes: ['float32'], shape: [layout.classes.length] };
  return { ...levelTypes(layout), [`${layout.prefix}steps`]: values, [`${layout.prefix}offsets`]: values };
}

function partsOf(tensor: LearnedTensor, rows: number, columns: number, limit?: number): readonly LearnedPart[] {
  const size = learnedGroupSize(tensor);
  const single = tensor.bits.every((width) => width === tensor.bits[0]);
  return matrixParts(rows, columns, limit).map(({ from, to }, index) => {
    const prefix = `part${index}.`;
    const [first, last] = [from * columns, to * columns];
    // One width needs no groups: the entries of the part are one.
    if (single) {
      const entries = Math.max(1, last - first);
      const grid = { rows: 1, columns: last - first, groupSize: entries };
      return { from, to, start: first, layout: mixedLayout(grid, Uint8Array.of(tensor.bits[0] ?? 0), prefix) };
    }
    const [start, end] = [Math.floor(first / size), Math.ceil(last / size)];
    const grid = { rows: 1, columns: Math.min(end * size, tensor.levels.length) - start * size, groupSize: size };
    return { from, to, start: start * size, layout: mixedLayout(grid, tensor.bits.subarray(start, end), prefix) };
  });
}

/** float32 [rows of the part, columns], turned: [columns, rows of the part]. Levels are put in shape as bytes, before they are four times as large. */
function unpackedPart(build: GraphBuilder, stored: StoredPieces, part: LearnedPart, columns: number, turned: boolean): Value {
  const { layout, start, from, to } = part;
  const { prefix, grid, classes } = layout;
  const { levels, byClass } = unpackLevels(build, stored, layout);
  const rows = to - from;
  const offset = stored[`${prefix}offsets`]!;
  const pruned = classes.some(({ bits }) => bits === 0);
  const minimum = () =>
    classes.length === 1
      ? offset
      : build.op('Slice', [offset, build.int64([classes.length - 1]), build.int64([classes.length]), build.int64([0])]);
  if (classes.length === 1) {
    const shaped = turnedIf(build, build.op('Reshape', [levels, build.int64([rows, columns])]), turned);
    return build.op('Add', [build.op('Mul', [asFloat32(build, shaped), stored[`${prefix}steps`]]), minimum()]);
  }
  const perRow = columns / grid.groupSize;
  if (grid.columns === rows * columns && Number.isInteger(perRow)) {
    const shape = (value: Value, last: number): Value => {
      const shaped = build.op('Reshape', [value, build.int64([rows, perRow, last])]);
      return turned ? build.op('Transpose', [shaped], { perm: ints([1, 2, 0]) }) : shaped;
    };
    const scaled = build.op('Mul', [asFloat32(build, shape(levels, grid.groupSize)), shape(byClass(stored[`${prefix}steps`]!), 1)]);
    const moved = build.op('Add', [scaled, pruned ? shape(byClass(offset), 1) : minimum()]);
    return build.op('Reshape', [moved, build.int64(turned ? [columns, rows] : [rows, columns])]);
  }
  const scaled = build.op('Mul', [asFloat32(build, levels), byClass(stored[`${prefix}steps`]!)]);
  const flat = build.op('Reshape', [build.op('Add', [scaled, pruned ? byClass(offset) : minimum()]), build.int64([-1])]);
  const skipped = from * columns - start;
  const length = rows * columns;
  const padded = Math.ceil(grid.columns / grid.groupSize) * grid.groupSize;
  const cut =
    skipped === 0 && padded === length
      ? flat
      : build.op('Slice', [flat, build.int64([skipped]), build.int64([skipped + length]), build.int64([0])]);
  return turnedIf(build, build.op('Reshape', [cut, build.int64([rows, columns])]), turned);
}

/** Values of a part from its pieces, steps and offsets as stored. */
function decodePart(pieces: Readonly<Record<string, TensorBytes>>, { layout, start }: LearnedPart, values: Float32Array): void {
  const { levels, bits } = decodeLevels(pieces, layout);
  const steps = decodeScales(pieces[`${layout.prefix}steps`]!);
  const offsets = decodeScales(pieces[`${layout.prefix}offsets`]!);
  const place = new Uint8Array(256);
  for (const [index, each] of layout.classes.entries()) place[each.bits] = index;
  const { groupSize } = layout.grid;
  for (let index = 0; index < levels.length; index += 1) {
    const chosen = place[bits[Math.floor(index / groupSize)] as number] as number;
    values[start + index] = Math.fround((levels[index] as number) * (steps[chosen] as number)) + (offsets[chosen] as number);
  }
}

function floats(values: readonly number[]): TensorBytes {
  return { dtype: 'float32', shape: [values.length], bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
