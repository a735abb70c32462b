import { unpackPlane, type PlaneWidth } from './packBits';

/** A matrix as MatMulNBits stores it: rows of blocks of `bits`-wide codes, lowest bits first, the last block of a row filled up. */
export interface PackedBlocks {
  readonly rows: number;
  readonly columns: number;
  readonly block: number;
  readonly bits: PlaneWidth;
  /** [rows, blocks, block * bits / 8]. */
  readonly codes: Uint8Array;
  /** [rows, blocks]. */
  readonly scales: Float32Array;
  /** Packed [rows, ceil(blocks * bits / 8)], or one float for each block; undefined: 2^(bits - 1). */
  readonly zeros: Uint8Array | Float32Array | undefined;
}

/** Codes that are unpacked at a time: they stay in the cache, and the tables of `unpackPlane` are built seldom. */
const codesAtATime = 2 ** 16;

/**
 * The weights of such a matrix, float32 [rows, columns]: (code - zero) * scale, rounded once where zero points are integers. 130 million
 * weights/s on one thread, a third of the time for the memory of the result (`npm run bench packedProducts`).
 */
export function dequantizeBlocks(matrix: PackedBlocks): Float32Array {
  const { rows, columns, block, bits, codes } = matrix;
  const blocks = Math.ceil(columns / block);
  const width = blocks * block;
  const rowsAtATime = Math.max(1, Math.floor(codesAtATime / width));
  const unpacked = new Uint8Array(Math.min(rows, rowsAtATime) * width);
  const zeros = zeroPointsOf(matrix, blocks);
  const result = new Float32Array(rows * columns);
  for (let first = 0; first < rows; first += rowsAtATime) {
    const count = Math.min(rowsAtATime, rows - first);
    const part = unpacked.subarray(0, count * width).fill(0);
    unpackPlane(codes.subarray((first * width * bits) / 8, ((first + count) * width * bits) / 8), { width: bits, shift: 0 }, part);
    for (let row = 0; row < count; row += 1)
      dequantizeRow(part.subarray(row * width, (row + 1) * width), matrix, zeros, blocks, first + row, result);
  }
  return result;
}

function dequantizeRow(
  codes: Uint8Array,
  { columns, block, scales }: PackedBlocks,
  zeros: Float32Array,
  blocks: number,
  row: number,
  result: Float32Array,
): void {
  const target = row * columns;
  for (let index = 0; index < blocks; index += 1) {
    const scale = scales[row * blocks + index] as number;
    const zero = zeros[row * blocks + index] as number;
    const end = Math.min((index + 1) * block, columns);
    for (let column = index * block; column < end; column += 1)
      result[target + column] = Math.fround((codes[column] as number) - zero) * scale;
  }
}

/** One zero point for each block. */
function zeroPointsOf({ rows, bits, zeros }: PackedBlocks, blocks: number): Float32Array {
  if (zeros instanceof Float32Array) return zeros;
  const result = new Float32Array(rows * blocks).fill(2 ** (bits - 1));
  if (zeros === undefined) return result;
  const rowBytes = Math.ceil((blocks * bits) / 8);
  const places = (rowBytes * 8) / bits;
  const padded = new Uint8Array(rows * places);
  unpackPlane(zeros, { width: bits, shift: 0 }, padded);
  for (let row = 0; row < rows; row += 1) result.set(padded.subarray(row * places, row * places + blocks), row * blocks);
  return result;
}
