import { int, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { dequantize } from '../planned/dequantize';
import { fingerprintOfMatrix } from '../planned/fingerprint';
import { groupsPerRow, matrixLayoutOf, type MatrixLayout, type QuantizedMatrix } from '../planned/plannedTensor';
import type { MatrixValues, TensorBytes } from './matrixForm';
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
import { packPlane, unpackPlane } from '../../kernels/host/packBits';
import { scaleTypes, type PieceTypes } from './pieceTypes';
import { asFloat32, decodeScales, encodeScales } from './scales';
import type { EncodedTensor, StoredPieces, StoredTensor } from './storedTensor';
import { matrixParts, matrixUses, turnedIf, type MatrixPart } from './unpackedMatrix';

/** One part of rows, with its groups counted. */
interface MixedPart extends MatrixPart {
  readonly layout: MixedLayout;
}

/** What a report says of the widths of a part: how many groups have which. */
interface PartDetails {
  readonly from: number;
  readonly to: number;
  readonly classes: readonly WidthClass[];
}

/**
 * A quantised matrix whose groups have their own widths, as packed integers with standard operators that rebuild its float32 weights:
 *   weight = (code - zero) * scale         pruned groups (0 bits) give 0
 * Stored for each part of less than 1 GiB: codes by width (see mixedLevels); `scales` and, unless symmetric, `zeros` of the groups that are not pruned,
 * by width from the smallest, in order. `limit` is for tests.
 */
export function storeMixedMatrix(matrix: QuantizedMatrix & { readonly groupBits: Uint8Array }, limit?: number): EncodedTensor {
  const { groupBits, rows, columns } = matrix;
  const layout = matrixLayoutOf(matrix);
  const perRow = groupsPerRow(layout);
  const parts = matrixParts(rows, perRow * matrix.groupSize, limit).map(({ from, to }, index): MixedPart => {
    const grid = { rows: to - from, columns, groupSize: matrix.groupSize };
    return { from, to, layout: mixedLayout(grid, groupBits.subarray(from * perRow, to * perRow), `part${index}.`) };
  });
  const pieces: Record<string, TensorBytes> = {};
  for (const { from, to, layout: part } of parts) {
    const bits = groupBits.subarray(from * perRow, to * perRow);
    Object.assign(pieces, encodeLevels(matrix.codes.subarray(from * columns, to * columns), bits, part));
    const stored = storedGroups(part.classes);
    const shape = [stored, 1];
    pieces[`${part.prefix}scales`] = encodeScales(
      byClass(matrix.scales.subarray(from * perRow, to * perRow), bits, part, new Float32Array(stored)),
      matrix.scaleDType,
      shape,
    );
    if (matrix.symmetric) continue;
    const zeros = byClass(matrix.zeroPoints.subarray(from * perRow, to * perRow), bits, part, new Uint8Array(stored));
    const nibbles = matrix.bits <= 4;
    pieces[`${part.prefix}zeros`] = {
      dtype: nibbles ? 'uint4' : 'uint8',
      shape,
      bytes: nibbles ? packPlane(zeros, { width: 4, shift: 0 }) : zeros,
    };
  }
  return { pieces, stored: storedParts(layout, parts) };
}

/** Name of the form in reports. */
export const mixedForm = 'packed-mixed';

/** A matrix as `storeMixedMatrix` stored it. */
export function storedMixedMatrix(layout: MatrixLayout, parts: readonly PartDetails[]): StoredTensor {
  const whole = parts.map(({ from, to, classes }, index): MixedPart => {
    const grid = { rows: to - from, columns: layout.columns, groupSize: layout.groupSize };
    return { from, to, layout: { grid, classes, prefix: `part${index}.` } };
  });
  return storedParts(layout, whole);
}

function storedParts(layout: MatrixLayout, parts: readonly MixedPart[]): StoredTensor {
  const { rows, columns } = layout;
  return {
    form: mixedForm,
    details: { ...layout, parts: parts.map(({ from, to, layout: { classes } }): PartDetails => ({ from, to, classes })) },
    rows,
    columns,
    opset: 21,
    types: Object.assign({}, ...parts.map((part) => partTypes(part, layout))) as PieceTypes,
    traces: parts.flatMap((part) => levelTraces(part.layout)),
    decode: (read) => {
      const values = decodeParts(read, parts, layout);
      return { fingerprint: fingerprintOfMatrix(values), weights: (target) => dequantize({ ...layout, ...values }, target) };
    },
    ...matrixUses(rows, columns, parts, (build, stored, part, turned) =>
      turnedIf(build, unpackedPart(build, stored, part, layout), turned),
    ),
  };
}

function partTypes({ layout: part }: MixedPart, matrix: MatrixLayout): PieceTypes {
  const shape = [storedGroups(part.classes), 1];
  return { ...levelTypes(part), ...scaleTypes(part.prefix, matrix, shape, matrix.bits <= 4 ? 'uint4' : 'uint8') };
}

/** Groups that store a scale. */
function storedGroups(classes: readonly WidthClass[]): number {
  return classes.reduce((sum, { bits, groups }) => sum + (bits === 0 ? 0 : groups), 0);
}

/** Values of groups in the order of the classes, without those of pruned groups. */
function byClass<T extends Float32Array | Uint8Array>(values: T, bits: Uint8Array, { classes }: MixedLayout, target: T): T {
  let position = 0;
  for (const each of classes) {
    if (each.bits === 0) continue;
    for (let group = 0; group < bits.length; group += 1) if (bits[group] === each.bits) target[position++] = values[group] as number;
  }
  return target;
}

/** float32 [rows of the part, columns]. */
function unpackedPart(build: GraphBuilder, stored: StoredPieces, { from, to, layout }: MixedPart, matrix: MatrixLayout): Value {
  const { classes, prefix } = layout;
  const unpacked = unpackLevels(build, stored, layout);
  const pruned = classes.find(({ bits }) => bits === 0)?.groups ?? 0;
  const ofGroups = (name: string): Value => {
    const values = asFloat32(build, stored[`${prefix}${name}`]!);
    if (pruned === 0) return unpacked.arrange(values);
    const none = build.op('Expand', [build.op('Reshape', [build.float32(0), build.int64([1, 1])]), build.int64([pruned, 1])]);
    return unpacked.arrange(storedGroups(classes) === 0 ? none : build.op('Concat', [none, values], { axis: int(0) }));
  };
  const zeros = matrix.symmetric ? unpacked.byClass(middles(build, classes)) : ofGroups('zeros');
  const scaled = build.op('Mul', [build.op('Sub', [asFloat32(build, unpacked.levels), zeros]), ofGroups('scales')]);
  const padded = groupsPerRow(matrix) * matrix.groupSize;
  const weight = build.op('Reshape', [scaled, build.int64([to - from, padded])]);
  return padded === matrix.columns
    ? weight
    : build.op('Slice', [weight, build.int64([0]), build.int64([matrix.columns]), build.int64([1])]);
}

/** Zero points of symmetric groups by width. */
function middles(build: GraphBuilder, classes: readonly WidthClass[]): Value {
  const values = Float32Array.from(classes, ({ bits }) => middleOf(bits));
  return build.constant({ kind: 'inline', dtype: 'float32', shape: [values.length], bytes: new Uint8Array(values.buffer) });
}

function middleOf(bits: number): number {
  return bits === 0 ? 0 : 2 ** (bits - 1);
}

function decodeParts(pieces: Readonly<Record<string, TensorBytes>>, parts: readonly MixedPart[], matrix: MatrixLayout): MatrixValues {
  const perRow = groupsPerRow(matrix);
  const codes = new Uint8Array(matrix.rows * matrix.columns);
  const scales = new Float32Array(matrix.rows * perRow);
  const zeroPoints = new Uint8Array(matrix.rows * perRow);
  for (const { from, layout } of parts) {
    const { levels, bits } = decodeLevels(pieces, layout);
    codes.set(levels, from * matrix.columns);
    const storedScales = decodeScales(pieces[`${layout.prefix}scales`]!);
    const packed = pieces[`${layout.prefix}zeros`];
    const zeros = new Uint8Array(storedScales.length);
    if (packed) unpackPlane(packed.bytes, { width: packed.dtype === 'uint4' ? 4 : 8, shift: 0 }, zeros);
    let position = 0;
    for (const each of layout.classes) {
      if (each.bits === 0) continue;
      for (let group = 0; group < bits.length; group += 1) {
        if (bits[group] !== each.bits) continue;
        scales[from * perRow + group] = storedScales[position] as number;
        zeroPoints[from * perRow + group] = packed ? (zeros[position] as number) : middleOf(each.bits);
        position += 1;
      }
    }
  }
  return { codes, scales, zeroPoints };
}
