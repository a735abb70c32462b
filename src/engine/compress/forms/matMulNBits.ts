import { int } from '../../graph/builder';
import { groupsPerRow, type MatrixForm, type MatrixLayout } from './matrixForm';
import { packPlane, unpackPlane, type PlaneWidth } from './packBits';
import { asFloat32, decodeScales, encodeScales } from './scales';

const blockSizes = [16, 32, 64, 128, 256];
const widths: readonly number[] = [2, 4, 8];
/** For one scale a row: long blocks cost fewer repeated scales, and 2 bits run fastest at 128. */
const rowBlock = 128;

/** Block length of the operator: the group's, or any for rows with one scale. */
export function blockOf(layout: MatrixLayout): number {
  return groupsPerRow(layout) > 1 ? layout.groupSize : rowBlock;
}

/**
 * MatMulNBits of the domain com.microsoft: 2, 4 and 8 bits, blocks of 16 to 256 along the inputs.
 *
 * Stored: `codes` uint8 [rows, blocks, block * bits / 8], lowest bits first, the last block filled up with zeros; `scales` [rows, blocks]
 * in their type, with a Cast to float32 that the runtime folds at load (2 and 8 bits: in float32, because without folding ONNX Runtime 1.30 computes
 * wrong results from scales that are no constants at accuracy level 4); `zeros` uint8 [rows, ceil(blocks * bits / 8)], absent for
 * symmetric codes, whose zero is 2^(bits-1). One scale a row or tensor is repeated for each block, which is exact.
 *
 * accuracy_level: 4 bits run with exact float32 activations. 2 and 8 bits have no fast exact kernel (10 to 19 times slower than float for
 * one token), so there activations are rounded to int8. Source: ONNX Runtime contrib operators, MatMulNBits.
 */
export const matMulNBits: MatrixForm = {
  opset: () => 21,

  refuse: (layout) => {
    if (!widths.includes(layout.bits))
      return `onnx-fast has kernels for 2, 4 and 8 bits, not ${layout.bits}; take one of them, or the format onnx-packed`;
    if (groupsPerRow(layout) > 1 && !blockSizes.includes(layout.groupSize))
      return `onnx-fast has kernels for groups of ${blockSizes.join(', ')} and whole rows, not ${layout.groupSize}; take one of them, or the format onnx-packed`;
    return undefined;
  },

  encode: (matrix) => {
    const { rows, columns, bits, symmetric } = matrix;
    const block = blockOf(matrix);
    const blocks = Math.ceil(columns / block);
    const plane = { width: bits as PlaneWidth, shift: 0 };
    const padded = padRows(matrix.codes, rows, columns, blocks * block);
    const scales = repeat(matrix.scales, rows, groupsPerRow(matrix), blocks);
    const stored = {
      codes: { dtype: 'uint8', shape: [rows, blocks, (block * bits) / 8], bytes: packPlane(padded, plane) } as const,
      scales: encodeScales(scales, bits === 4 ? matrix.scaleDType : 'float32', [rows, blocks]),
    };
    if (symmetric) return stored;
    const perByte = 8 / bits;
    const zeroBytes = Math.ceil(blocks / perByte);
    const zeros = padRows(repeat(matrix.zeroPoints, rows, groupsPerRow(matrix), blocks), rows, blocks, zeroBytes * perByte);
    return { ...stored, zeros: { dtype: 'uint8', shape: [rows, zeroBytes], bytes: packPlane(zeros, plane) } };
  },

  decode: (pieces, layout) => {
    const { rows, columns, bits } = layout;
    const block = blockOf(layout);
    const blocks = Math.ceil(columns / block);
    const groups = groupsPerRow(layout);
    const plane = { width: bits as PlaneWidth, shift: 0 };
    const padded = new Uint8Array(rows * blocks * block);
    unpackPlane(pieces['codes']!.bytes, plane, padded);
    const zeroPoints = new Uint8Array(rows * groups).fill(2 ** (bits - 1));
    const stored = pieces['zeros'];
    if (stored !== undefined) {
      const perRow = (stored.shape[1] as number) * (8 / bits);
      const all = new Uint8Array(rows * perRow);
      unpackPlane(stored.bytes, plane, all);
      for (let row = 0; row < rows; row += 1) zeroPoints.set(all.subarray(row * perRow, row * perRow + groups), row * groups);
    }
    const repeated = decodeScales(pieces['scales']!);
    const scales = new Float32Array(rows * groups);
    for (let row = 0; row < rows; row += 1) scales.set(repeated.subarray(row * blocks, row * blocks + groups), row * groups);
    return { codes: cutRows(padded, rows, blocks * block, columns), scales, zeroPoints };
  },

  linear: (build, stored, layout, x) =>
    build.op(
      'MatMulNBits',
      [x, stored['codes'], asFloat32(build, stored['scales']!), stored['zeros']],
      {
        K: int(layout.columns),
        N: int(layout.rows),
        bits: int(layout.bits),
        block_size: int(blockOf(layout)),
        accuracy_level: int(layout.bits === 4 ? 1 : 4),
      },
      { domain: 'com.microsoft' },
    ),
};

/** Every row of a row-major matrix lengthened with zeros. */
function padRows(source: Uint8Array, rows: number, columns: number, padded: number): Uint8Array {
  if (padded === columns) return source;
  const result = new Uint8Array(rows * padded);
  for (let row = 0; row < rows; row += 1) result.set(source.subarray(row * columns, (row + 1) * columns), row * padded);
  return result;
}

function cutRows(source: Uint8Array, rows: number, padded: number, columns: number): Uint8Array {
  if (padded === columns) return source;
  const result = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row += 1) result.set(source.subarray(row * padded, row * padded + columns), row * columns);
  return result;
}

/** One value a group for each block: the same, or one value a row spread over its blocks. */
function repeat<T extends Float32Array | Uint8Array>(values: T, rows: number, groups: number, blocks: number): T {
  if (groups === blocks) return values;
  const result = (values instanceof Float32Array ? new Float32Array(rows * blocks) : new Uint8Array(rows * blocks)) as T;
  for (let row = 0; row < rows; row += 1) result.fill(values[row] as number, row * blocks, (row + 1) * blocks);
  return result;
}
