import type { DType } from '../../../protocol/dtypes';
import { int, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { groupsPerRow, plainMatrixOnly, type MatrixForm, type MatrixLayout, type TensorBytes } from './matrixForm';
import { packPlane, unpackPlane, type PlaneWidth } from '../../kernels/host/packBits';
import { checkCodes } from './pieceTypes';
import { asFloat32, decodeScales, encodeScales } from './scales';
import { transposeBack, transposeInto } from '../../kernels/host/transpose';

/**
 * Bits of the ONNX integer type that holds a width. 2-bit types only where the rows fill whole bytes: for others ONNX Runtime 1.30 at its
 * default level fuses DequantizeLinear and MatMul into a kernel that reads the wrong weights (27 rows of 2 bits: errors as large as the result).
 */
function containerBits({ bits, rows }: MatrixLayout): PlaneWidth {
  return bits <= 2 && rows % 4 === 0 ? 2 : bits <= 4 ? 4 : 8;
}

function elementType(layout: MatrixLayout): DType {
  const { symmetric } = layout;
  const container = containerBits(layout);
  if (container === 2) return symmetric ? 'int2' : 'uint2';
  if (container === 4) return symmetric ? 'int4' : 'uint4';
  return symmetric ? 'int8' : 'uint8';
}

/** Length of the blocks on axis 0; 0 where there are none. */
function blockSize(layout: MatrixLayout): number {
  return layout.granularity !== 'tensor' && groupsPerRow(layout) > 1 ? layout.groupSize : 0;
}

/** Shape of scales and zero points: blocks on axis 0 of [columns, rows], one a row, or one for all. */
function scaleShape(layout: MatrixLayout): readonly number[] {
  if (layout.granularity === 'tensor') return [];
  return groupsPerRow(layout) > 1 ? [groupsPerRow(layout), layout.rows] : [layout.rows];
}

/**
 * QuantizeLinear's standard form: the weight as [columns, rows] in the narrowest ONNX integer type that holds its width (INT2 and UINT2 from
 * opset 25, INT4 and UINT4 from opset 21), DequantizeLinear, MatMul.
 *
 * Stored: `codes` (for symmetric codes shifted to signed numbers without zero points), `scales` in their type with a Cast to float32
 * that the runtime folds at load, `zeros` in the type of the codes. Source: ONNX DequantizeLinear.
 */
export const dequantizeLinear: MatrixForm = {
  id: 'dequantize-linear',

  opset: (layout) => (containerBits(layout) === 2 ? 25 : 21),

  refuse: (layout) => plainMatrixOnly('DequantizeLinear', layout),

  encode: (matrix) => {
    const { rows, columns, symmetric } = matrix;
    const groups = groupsPerRow(matrix);
    const codes = transposeInto(matrix.codes, columns, 0, rows, new Uint8Array(rows * columns));
    if (symmetric) shift(codes, -(2 ** (matrix.bits - 1)));
    const single = matrix.granularity === 'tensor';
    const scales = single ? matrix.scales.slice(0, 1) : transposeInto(matrix.scales, groups, 0, rows, new Float32Array(rows * groups));
    const stored = {
      codes: packed(codes, [columns, rows], matrix),
      scales: encodeScales(scales, matrix.scaleDType, scaleShape(matrix)),
    };
    if (symmetric) return stored;
    const zeros = single ? matrix.zeroPoints.slice(0, 1) : transposeInto(matrix.zeroPoints, groups, 0, rows, new Uint8Array(rows * groups));
    return { ...stored, zeros: packed(zeros, scaleShape(matrix), matrix) };
  },

  types: (layout) => {
    const dtypes = [elementType(layout)];
    const shape = scaleShape(layout);
    return {
      codes: { dtypes, shape: [layout.columns, layout.rows] },
      scales: { dtypes: [layout.scaleDType], shape },
      ...(layout.symmetric ? {} : { zeros: { dtypes, shape } }),
    };
  },

  traces: (layout) => [{ piece: 'codes', op: 'DequantizeLinear', attributes: { block_size: blockSize(layout) } }],

  decode: (pieces, layout) => {
    const { rows, columns, bits, symmetric, granularity } = layout;
    const groups = groupsPerRow(layout);
    const unpack = (piece: TensorBytes, count: number): Uint8Array => {
      const values = new Uint8Array(count);
      unpackPlane(piece.bytes, { width: containerBits(layout), shift: 0 }, values);
      if (symmetric) shift(values, 2 ** (bits - 1), 2 ** containerBits(layout) - 1);
      return values;
    };
    const codes = new Uint8Array(rows * columns);
    transposeBack(unpack(pieces['codes']!, rows * columns), columns, 0, rows, codes);
    checkCodes(codes, bits);
    const scales = new Float32Array(rows * groups);
    const zeroPoints = new Uint8Array(rows * groups).fill(2 ** (bits - 1));
    const storedScales = decodeScales(pieces['scales']!);
    const zeros = pieces['zeros'];
    if (granularity === 'tensor') {
      scales.fill(storedScales[0] as number);
      if (zeros !== undefined) zeroPoints.fill(unpack(zeros, 1)[0] as number);
    } else {
      transposeBack(storedScales, groups, 0, rows, scales);
      if (zeros !== undefined) transposeBack(unpack(zeros, rows * groups), groups, 0, rows, zeroPoints);
    }
    return { codes, scales, zeroPoints };
  },

  dense: (build, stored, layout) => denseWeight(build, stored, layout),

  // ONNX Runtime 1.30 and 1.31: QLinearMatMul, MatMulIntegerToFloat and QGemm take no 2-bit weights, the first two no scales by blocks. The fusion to them checks neither for these types.
  fusesWrongly: (layout, op) => containerBits(layout) === 2 || (op === 'MatMul' && containerBits(layout) === 8 && blockSize(layout) > 0),

  linear: (build, stored, layout, x) => build.op('MatMul', [x, denseWeight(build, stored, layout)]),
};

function denseWeight(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout): Value {
  const block = blockSize(layout);
  const axes = layout.granularity === 'tensor' ? {} : block > 0 ? { axis: int(0), block_size: int(block) } : { axis: int(1) };
  return build.op('DequantizeLinear', [stored['codes'], asFloat32(build, stored['scales']!), stored['zeros']], axes);
}

/** Adds to every code; the result keeps only the low bits of the container, as two's complement does. */
function shift(codes: Uint8Array, by: number, mask = 255): void {
  for (let index = 0; index < codes.length; index += 1) codes[index] = ((codes[index] as number) + by) & mask;
}

function packed(values: Uint8Array, shape: readonly number[], layout: MatrixLayout): TensorBytes {
  return { dtype: elementType(layout), shape, bytes: packPlane(values, { width: containerBits(layout), shift: 0 }) };
}
