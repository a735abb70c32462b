import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import { int, type GraphBuilder } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Value } from '../../graph/graph';
import { packPlane, planesOf, planeTable, unpackPlane, type Plane } from '../../kernels/host/packBits';
import { dequantize } from '../planned/dequantize';
import { digestOfArrays, fingerprintOfMatrix } from '../planned/fingerprint';
import { groupsPerRow, layoutOf, type MatrixLayout, type SparseLayout, type SparseTensor } from '../planned/plannedTensor';
import type { Pieces, TensorBytes } from './matrixForm';
import { columnGroups, LayoutMismatch, planeType, planeTypes, scaleTypes, type PieceTypes, type Trace } from './pieceTypes';
import { asFloat32, decodeScales, encodeScales } from './scales';
import { unpackedPlane } from './selfUnpacking';
import type { DecodedTensor, EncodedTensor, StoredPieces, StoredTensor } from './storedTensor';
import { matrixParts, matrixUses, turnedIf, type MatrixPart } from './unpackedMatrix';

/** Name of the form in reports. */
export const sparseForm = 'packed-sparse';

/** Plane of a mask: one bit for each weight. */
const maskPlane: Plane = { width: 1, shift: 0 };

/** One part of rows and the number of weights that it keeps. */
interface SparsePart extends MatrixPart {
  readonly kept: number;
}

/** Undefined, or why the form cannot hold a sparse matrix: the end of a sentence. */
export function refuseSparse({ quantized }: SparseLayout): string | undefined {
  if (quantized?.widthsByGroup) return 'sparse codes have one width per tensor; use the format hf';
  if (quantized?.columnsAreSorted) return 'sparse codes cannot have a column order; use the format hf';
  return undefined;
}

/**
 * A sparse matrix as a bit mask and the kept weights, with standard operators that rebuild the float32 matrix at load:
 *   place = running sum of the mask - 1,   weight = mask * value[place]   or   mask * (code[place] - zero) * scale
 * Stored for each part of less than 1 GiB: `mask` uint8, one bit for each weight, row-major; `values` [kept] in their type, or the planes of the kept
 * codes with `scales` and, unless symmetric, `zeros` [rows, groups]. A part that keeps nothing stores a single 0. `limit` is for tests.
 */
export function storeSparse(tensor: SparseTensor, limit?: number): EncodedTensor {
  const { rows, columns, quantized } = tensor;
  const mask = bitsOf(tensor);
  const pieces: Record<string, TensorBytes> = {};
  let first = 0;
  const parts = matrixParts(rows, columns, limit).map(({ from, to }, index): SparsePart => {
    const prefix = `part${index}.`;
    const bits = mask.subarray(from * columns, to * columns);
    const kept = bits.reduce((sum, bit) => sum + bit, 0);
    pieces[`${prefix}mask`] = bytesOf(packPlane(bits, maskPlane));
    if (quantized) {
      const codes = new Uint8Array(Math.max(1, kept));
      let next = 0;
      for (let place = 0; place < bits.length; place += 1)
        if (bits[place] === 1) codes[next++] = quantized.codes[from * columns + place] as number;
      for (const plane of planesOf(quantized.bits)) pieces[`${prefix}plane${plane.shift}`] = bytesOf(packPlane(codes, plane));
      const groups = groupsPerRow(quantized);
      const shape = [to - from, groups];
      const range = [from * groups, to * groups] as const;
      pieces[`${prefix}scales`] = encodeScales(quantized.scales.slice(...range), quantized.scaleDType, shape);
      if (!quantized.symmetric)
        pieces[`${prefix}zeros`] = quantized.floatZeroPoints
          ? encodeScales(quantized.floatZeroPoints.slice(...range), quantized.scaleDType, shape)
          : { dtype: 'uint8', shape, bytes: quantized.zeroPoints.slice(...range) };
    } else {
      const values = new Float32Array(Math.max(1, kept));
      values.set(tensor.values.subarray(first, first + kept));
      pieces[`${prefix}values`] = { dtype: tensor.dtype, shape: [values.length], bytes: encodeFromFloat32(tensor.dtype, values) };
    }
    first += kept;
    return { from, to, kept };
  });
  return { pieces, stored: storedSparse(layoutOf(tensor) as SparseLayout, parts) };
}

/** A matrix as `storeSparse` stored it. */
export function storedSparse(layout: SparseLayout, parts: readonly SparsePart[]): StoredTensor {
  const { rows, columns, quantized } = layout;
  const numbered = parts.map((part, index) => ({ ...part, prefix: `part${index}.` }));
  return {
    form: sparseForm,
    details: { ...layout, parts },
    rows,
    columns,
    opset: 21,
    types: Object.assign({}, ...numbered.map((part) => partTypes(part, layout))) as PieceTypes,
    traces: quantized ? numbered.flatMap((part) => partTraces(part, quantized)) : [],
    decode: (pieces) => decodeSparse(pieces, layout, numbered),
    ...matrixUses(rows, columns, numbered, (build, stored, part, turned) =>
      turnedIf(build, unpackedPart(build, stored, part, layout), turned),
    ),
  };
}

type NumberedPart = SparsePart & { readonly prefix: string };

function partTypes({ from, to, kept, prefix }: NumberedPart, { columns, dtype, quantized }: SparseLayout): PieceTypes {
  const mask = { [`${prefix}mask`]: planeType(maskPlane, (to - from) * columns) };
  const stored = Math.max(1, kept);
  if (!quantized) return { ...mask, [`${prefix}values`]: { dtypes: [dtype], shape: [stored] } };
  return {
    ...mask,
    ...planeTypes(prefix, quantized.bits, stored, false),
    ...scaleTypes(prefix, quantized, [to - from, groupsPerRow(quantized)], 'uint8'),
  };
}

/** Sizes of groups with the same number a row differ in the groups that columns gather; widths of few codes in the table that unpacks them. */
function partTraces({ prefix }: NumberedPart, quantized: MatrixLayout): readonly Trace[] {
  const tables = planesOf(quantized.bits).flatMap((plane): Trace[] =>
    plane.width === 8 ? [] : [{ piece: `${prefix}plane${plane.shift}`, op: 'Gather', constant: [...planeTable(plane)] }],
  );
  return [{ piece: `${prefix}scales`, op: 'Gather', constant: [...columnGroups(quantized)] }, ...tables];
}

/** float32 [rows of the part, columns]. */
function unpackedPart(
  build: GraphBuilder,
  stored: StoredPieces,
  { from, to, kept, prefix }: NumberedPart,
  { columns, quantized }: SparseLayout,
): Value {
  const count = (to - from) * columns;
  const mask = unpackedPlane(build, stored[`${prefix}mask`]!, maskPlane, count);
  const whole = build.op('Cast', [mask], { to: int(elementTypeOf('int32') as number) });
  const running = build.op('CumSum', [whole, build.int64(0)]);
  const one = build.constant({ kind: 'inline', dtype: 'int32', shape: [1], bytes: new Uint8Array(Int32Array.of(1).buffer) });
  // Weights before the first kept one have the place -1: any value does there.
  const place = build.op('Max', [build.op('Sub', [running, one]), build.op('Sub', [one, one])]);
  const shaped = (value: Value) => build.op('Reshape', [value, build.int64([to - from, columns])]);
  const keep = shaped(asFloat32(build, mask));
  const spread = (values: Value) => shaped(build.op('Gather', [values, place], { axis: int(0) }));
  if (!quantized) return build.op('Mul', [spread(asFloat32(build, stored[`${prefix}values`]!)), keep]);
  const planes = planesOf(quantized.bits).map((plane) =>
    unpackedPlane(build, stored[`${prefix}plane${plane.shift}`]!, plane, Math.max(1, kept)),
  );
  const codes = asFloat32(build, spread(planes.reduce((sum, plane) => build.op('Add', [sum, plane]))));
  const groupOf = columnGroups(quantized);
  const group = build.constant({ kind: 'inline', dtype: 'int32', shape: [columns], bytes: new Uint8Array(groupOf.buffer) });
  const ofGroup = (name: string) => build.op('Gather', [asFloat32(build, stored[`${prefix}${name}`]!), group], { axis: int(1) });
  const zeros = quantized.symmetric ? build.float32(2 ** (quantized.bits - 1)) : ofGroup('zeros');
  return build.op('Mul', [build.op('Mul', [build.op('Sub', [codes, zeros]), ofGroup('scales')]), keep]);
}

function decodeSparse(pieces: Pieces, { rows, columns, quantized }: SparseLayout, parts: readonly NumberedPart[]): DecodedTensor {
  const bits = new Uint8Array(rows * columns);
  const codes = new Uint8Array(quantized ? rows * columns : 0);
  const values: Float32Array[] = [];
  const [scales, zeros]: [Float32Array[], (Float32Array | Uint8Array)[]] = [[], []];
  for (const { from, to, kept, prefix } of parts) {
    const range = bits.subarray(from * columns, to * columns);
    const unpacked = new Uint8Array(range.length);
    unpackPlane(pieces[`${prefix}mask`]!.bytes, maskPlane, unpacked);
    range.set(unpacked);
    const marked = unpacked.reduce((sum, bit) => sum + bit, 0);
    if (marked !== kept) throw new LayoutMismatch(`${prefix}mask`, `${kept} kept weights`, `${marked}`);
    if (!quantized) {
      const stored = pieces[`${prefix}values`]!;
      values.push(decodeToFloat32(stored.dtype, stored.bytes).subarray(0, kept));
      continue;
    }
    const dense = new Uint8Array(Math.max(1, kept));
    for (const plane of planesOf(quantized.bits)) unpackPlane(pieces[`${prefix}plane${plane.shift}`]!.bytes, plane, dense);
    let next = 0;
    for (let place = 0; place < range.length; place += 1) if (range[place] === 1) codes[from * columns + place] = dense[next++] as number;
    scales.push(decodeScales(pieces[`${prefix}scales`]!));
    const stored = pieces[`${prefix}zeros`];
    if (stored) zeros.push(quantized.zeroPointsAreFloat ? decodeScales(stored) : stored.bytes.slice());
  }
  const mask = packPlane(bits, maskPlane);
  const kept = joined(values);
  const matrix = quantized && { ...quantized, codes, ...groupValues(quantized, scales, zeros) };
  return {
    fingerprint: matrix ? `${digestOfArrays([mask])} ${fingerprintOfMatrix(matrix)}` : digestOfArrays([mask, kept]),
    weights: (target) => {
      const result = matrix ? dequantize(matrix, target) : (target ?? new Float32Array(rows * columns));
      let next = 0;
      for (let index = 0; index < bits.length; index += 1)
        if (bits[index] === 0) result[index] = 0;
        else if (!matrix) result[index] = kept[next++] as number;
      return result;
    },
  };
}

function groupValues(
  layout: MatrixLayout,
  scales: readonly Float32Array[],
  zeros: readonly (Float32Array | Uint8Array)[],
): { readonly scales: Float32Array; readonly zeroPoints: Uint8Array; readonly floatZeroPoints?: Float32Array } {
  const all = joined(scales);
  if (layout.zeroPointsAreFloat)
    return { scales: all, zeroPoints: new Uint8Array(0), floatZeroPoints: joined(zeros as readonly Float32Array[]) };
  const zeroPoints = new Uint8Array(all.length).fill(2 ** (layout.bits - 1));
  let position = 0;
  for (const part of zeros) {
    zeroPoints.set(part, position);
    position += part.length;
  }
  return { scales: all, zeroPoints };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    all.set(part, position);
    position += part.length;
  }
  return all;
}

/** The mask as one byte for each weight. */
function bitsOf({ rows, columns, mask }: SparseTensor): Uint8Array {
  const bits = new Uint8Array(rows * columns);
  unpackPlane(mask, maskPlane, bits);
  return bits;
}

function bytesOf(bytes: Uint8Array): TensorBytes {
  return { dtype: 'uint8', shape: [bytes.length], bytes };
}
