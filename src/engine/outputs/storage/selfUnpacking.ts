import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Value } from '../../graph/graph';
import { groupsPerRow, type MatrixForm, type MatrixLayout, type TensorBytes } from './matrixForm';
import { packPlane, planeTable, planesOf, unpackPlane, type Plane } from '../../kernels/host/packBits';
import { groupTrace, planeTypes, scaleTypes, type PieceTypes } from './pieceTypes';
import { asFloat32, decodeScales, encodeScales } from './scales';
import { transposeBack, transposeInto } from '../../kernels/host/transpose';

/** The runtime folds constants below 1 GiB; a larger result would be unpacked in every run. */
const foldLimit = 2 ** 30;

/** Rows `from` to `to` of a matrix, unpacked as one constant. */
export interface RowPart {
  readonly from: number;
  readonly to: number;
}

/** Cuts a matrix by rows so that no part's float32 values reach 1 GiB. `limit` is for tests. */
export function rowParts(layout: MatrixLayout, limit = foldLimit): readonly RowPart[] {
  const rowBytes = groupsPerRow(layout) * layout.groupSize * 4;
  const most = Math.max(1, Math.ceil(limit / rowBytes) - 1);
  const count = Math.ceil(layout.rows / most);
  const size = Math.ceil(layout.rows / count);
  return Array.from({ length: count }, (_, part) => ({ from: part * size, to: Math.min((part + 1) * size, layout.rows) }));
}

/**
 * Packed integers plus standard operators that rebuild float32 weights; the runtime computes them once when it loads the model.
 *
 * For each part of at most 1 GiB: `plane<shift>` holds some bits of all codes of the [columns, rows] weight, flat, the columns filled up to whole
 * groups (4 bits as UINT4, 1 and 2 bits as bytes for a look-up table of 256 rows, 8 bits as they are); `scales` and `zeros` [groups, 1, rows].
 *   weight = (sum of planes - zero) * scale        exact in float32: the same product as everywhere else
 * Zero points between the levels are stored in the type of the scales. Where columns were sorted, `order` int32 [columns] says where each is found, and
 * a Gather puts them back.
 * The Cast-and-Mul form is taken because DequantizeLinear would be fused with MatMul into a kernel with rounded activations.
 */
export function selfUnpacking(limit = foldLimit): MatrixForm {
  return {
    id: 'packed',

    opset: () => 21,

    refuse: (layout) => (layout.widthsByGroup ? 'groups of several widths are stored in a different form' : undefined),

    encode: (matrix) => {
      const groups = groupsPerRow(matrix);
      const padded = groups * matrix.groupSize;
      const single = matrix.granularity === 'tensor';
      const pieces: Record<string, TensorBytes> = {};
      rowParts(matrix, limit).forEach(({ from, to }, part) => {
        const width = to - from;
        const codes = transposeInto(matrix.codes, matrix.columns, from, to, new Uint8Array(padded * width));
        for (const plane of planesOf(matrix.bits)) {
          const bytes = packPlane(codes, plane);
          const nibbles = plane.width === 4;
          pieces[`part${part}.plane${plane.shift}`] = {
            dtype: nibbles ? 'uint4' : 'uint8',
            shape: [nibbles ? codes.length : bytes.length],
            bytes,
          };
        }
        const shape = single ? [1, 1, 1] : [groups, 1, width];
        const scales = single
          ? matrix.scales.slice(0, 1)
          : transposeInto(matrix.scales, groups, from, to, new Float32Array(groups * width));
        pieces[`part${part}.scales`] = encodeScales(scales, matrix.scaleDType, shape);
        if (matrix.symmetric) return;
        if (matrix.floatZeroPoints) {
          const offsets = single
            ? matrix.floatZeroPoints.slice(0, 1)
            : transposeInto(matrix.floatZeroPoints, groups, from, to, new Float32Array(groups * width));
          pieces[`part${part}.zeros`] = encodeScales(offsets, matrix.scaleDType, shape);
          return;
        }
        const zeros = single
          ? matrix.zeroPoints.slice(0, 1)
          : transposeInto(matrix.zeroPoints, groups, from, to, new Uint8Array(groups * width));
        pieces[`part${part}.zeros`] =
          matrix.bits <= 4
            ? { dtype: 'uint4', shape, bytes: packPlane(zeros, { width: 4, shift: 0 }) }
            : { dtype: 'uint8', shape, bytes: zeros };
      });
      if (matrix.columnOrder) pieces['order'] = int32(inverseOf(matrix.columnOrder));
      return pieces;
    },

    types: (layout) => {
      const groups = groupsPerRow(layout);
      const types = rowParts(layout, limit).map(({ from, to }, part): PieceTypes => {
        const prefix = `part${part}.`;
        const shape = layout.granularity === 'tensor' ? [1, 1, 1] : [groups, 1, to - from];
        return {
          ...planeTypes(prefix, layout.bits, groups * layout.groupSize * (to - from)),
          ...scaleTypes(prefix, layout, shape, layout.bits <= 4 ? 'uint4' : 'uint8'),
        };
      });
      const order: PieceTypes = layout.columnsAreSorted ? { order: { dtypes: ['int32'], shape: [layout.columns] } } : {};
      return Object.assign({}, ...types, order) as PieceTypes;
    },

    traces: (layout) =>
      rowParts(layout, limit).map(({ from, to }, part) =>
        groupTrace(`part${part}.plane0`, [groupsPerRow(layout), layout.groupSize, to - from]),
      ),

    decode: (pieces, layout) => {
      const { rows, columns, bits, granularity } = layout;
      const groups = groupsPerRow(layout);
      const float = layout.zeroPointsAreFloat === true;
      const order = layout.columnsAreSorted ? inverseOf(decodeOrder(pieces['order']!, columns)) : undefined;
      const result = {
        codes: new Uint8Array(rows * columns),
        scales: new Float32Array(rows * groups),
        zeroPoints: new Uint8Array(float ? 0 : rows * groups).fill(2 ** (bits - 1)),
        ...(float ? { floatZeroPoints: new Float32Array(rows * groups) } : {}),
        ...(order ? { columnOrder: order } : {}),
      };
      rowParts(layout, limit).forEach(({ from, to }, part) => {
        const codes = new Uint8Array(groups * layout.groupSize * (to - from));
        for (const plane of planesOf(bits)) unpackPlane(pieces[`part${part}.plane${plane.shift}`]!.bytes, plane, codes);
        transposeBack(codes, columns, from, to, result.codes);
        const scales = decodeScales(pieces[`part${part}.scales`]!);
        const storedZeros = pieces[`part${part}.zeros`];
        if (float) {
          const offsets = decodeScales(storedZeros!);
          if (granularity === 'tensor') result.floatZeroPoints!.fill(offsets[0] as number, from * groups, to * groups);
          else transposeBack(offsets, groups, from, to, result.floatZeroPoints!);
        }
        const zeros = !float && storedZeros && new Uint8Array(granularity === 'tensor' ? 1 : groups * (to - from));
        if (zeros) unpackPlane(storedZeros.bytes, { width: storedZeros.dtype === 'uint4' ? 4 : 8, shift: 0 }, zeros);
        if (granularity === 'tensor') {
          result.scales.fill(scales[0] as number, from * groups, to * groups);
          if (zeros) result.zeroPoints.fill(zeros[0] as number, from * groups, to * groups);
        } else {
          transposeBack(scales, groups, from, to, result.scales);
          if (zeros) transposeBack(zeros, groups, from, to, result.zeroPoints);
        }
      });
      return result;
    },

    dense: (build, stored, layout) => {
      const parts = rowParts(layout, limit).map((part, index) => unpackedPart(build, stored, layout, part, `part${index}`));
      return parts.length === 1 ? (parts[0] as Value) : build.op('Concat', parts, { axis: int(1) });
    },

    linear: (build, stored, layout, x) => {
      const outputs = rowParts(layout, limit).map((part, index) =>
        build.op('MatMul', [x, unpackedPart(build, stored, layout, part, `part${index}`)]),
      );
      return outputs.length === 1 ? (outputs[0] as Value) : build.op('Concat', outputs, { axis: int(-1) });
    },
  };
}

/** The float32 weight [columns, rows of the part] of one part. */
function unpackedPart(
  build: GraphBuilder,
  stored: Readonly<Record<string, Value>>,
  layout: MatrixLayout,
  { from, to }: RowPart,
  prefix: string,
): Value {
  const groups = groupsPerRow(layout);
  const padded = groups * layout.groupSize;
  const width = to - from;
  const planes = planesOf(layout.bits).map((plane) =>
    unpackedPlane(build, stored[`${prefix}.plane${plane.shift}`]!, plane, padded * width),
  );
  const codes = planes.reduce((sum, plane) => build.op('Add', [sum, plane]));
  const zeros = stored[`${prefix}.zeros`];
  const centred = build.op('Sub', [
    build.op('Reshape', [asFloat32(build, codes), build.int64([groups, layout.groupSize, width])]),
    zeros === undefined ? build.float32(2 ** (layout.bits - 1)) : asFloat32(build, zeros),
  ]);
  const scaled = build.op('Mul', [centred, asFloat32(build, stored[`${prefix}.scales`]!)]);
  const weight = build.op('Reshape', [scaled, build.int64([padded, width])]);
  const order = stored['order'];
  if (order) return build.op('Gather', [weight, order], { axis: int(0) });
  return padded === layout.columns
    ? weight
    : build.op('Slice', [weight, build.int64([0]), build.int64([layout.columns]), build.int64([0])]);
}

/** Place of each column among the sorted ones, and back. */
function inverseOf(order: Uint32Array): Uint32Array {
  const inverse = new Uint32Array(order.length);
  order.forEach((column, place) => (inverse[column] = place));
  return inverse;
}

function int32(values: Uint32Array): TensorBytes {
  return { dtype: 'int32', shape: [values.length], bytes: new Uint8Array(values.slice().buffer) };
}

function decodeOrder({ bytes }: TensorBytes, columns: number): Uint32Array {
  const order = new Uint32Array(bytes.slice().buffer);
  if (order.length === columns && order.every((place) => place < columns) && new Set(order).size === columns) return order;
  throw new Error(`An order of ${columns} columns must be a permutation of them.`);
}

/** Codes of one plane as a flat uint8 vector of `count`. */
export function unpackedPlane(build: GraphBuilder, packed: Value, plane: Plane, count: number): Value {
  const uint8 = elementTypeOf('uint8') as number;
  if (plane.width === 8) return packed;
  if (plane.width === 4 && packed.type.dtype === 'uint4') return build.op('Cast', [packed], { to: int(uint8) });
  const looked = lookedUp(build, packed, plane);
  const flat = build.op('Reshape', [looked, build.int64([-1])]);
  const whole = Math.ceil((count * plane.width) / 8) * (8 / plane.width);
  return whole === count ? flat : build.op('Slice', [flat, build.int64([0]), build.int64([count]), build.int64([0])]);
}

/** Bytes [...] to codes [..., 8 / width] by look-up. */
export function lookedUp(build: GraphBuilder, packed: Value, plane: Plane): Value {
  const table = build.constant({ kind: 'inline', dtype: 'uint8', shape: [256, 8 / plane.width], bytes: planeTable(plane) });
  return build.op('Gather', [table, build.op('Cast', [packed], { to: int(elementTypeOf('int32') as number) })], { axis: int(0) });
}
