import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { QuantizedMatrix } from '../planned/plannedTensor';
import { groupsPerRow, type MatrixLayout, type MatrixValues, type Pieces } from './matrixForm';
import { packPlane, unpackPlane, type PlaneWidth } from '../../kernels/host/packBits';
import { checkCodes, checkRepeated, type PieceTypes } from './pieceTypes';
import { asFloat32, decodeScales, encodeScales } from './scales';
import { lookedUp } from './selfUnpacking';

/** How rows are cut into blocks of bytes: `container` bits a code, `block` codes a block, `block * container` whole bytes. */
export interface BlockStorage {
  readonly container: PlaneWidth;
  readonly block: number;
  readonly scaleDType: 'float16' | 'float32';
}

type Stored = Readonly<Record<string, Value>>;

function blocksOf(layout: MatrixLayout, storage: BlockStorage): number {
  return Math.ceil(layout.columns / storage.block);
}

/**
 * Rows in blocks: `codes` uint8 [rows, blocks, block * container / 8], lowest bits first, the last block filled up with zeros;
 * `scales` [rows, blocks]; `zeros` uint8 [rows, ceil(blocks * container / 8)], absent for symmetric codes. A row with one group
 * repeats its scale for every block, which is exact.
 */
export function encodeBlocks(matrix: QuantizedMatrix, storage: BlockStorage): Pieces {
  const { rows, columns } = matrix;
  const { container, block } = storage;
  const blocks = blocksOf(matrix, storage);
  const groups = groupsPerRow(matrix);
  const plane = { width: container, shift: 0 };
  const stored = {
    codes: {
      dtype: 'uint8',
      shape: [rows, blocks, (block * container) / 8],
      bytes: packPlane(padRows(matrix.codes, rows, columns, blocks * block), plane),
    } as const,
    scales: encodeScales(repeat(matrix.scales, rows, groups, blocks), storage.scaleDType, [rows, blocks]),
  };
  if (matrix.symmetric) return stored;
  const zeroBytes = Math.ceil((blocks * container) / 8);
  const zeros = padRows(repeat(matrix.zeroPoints, rows, groups, blocks), rows, blocks, (zeroBytes * 8) / container);
  return { ...stored, zeros: { dtype: 'uint8', shape: [rows, zeroBytes], bytes: packPlane(zeros, plane) } };
}

/** Types of the pieces of `encodeBlocks`. */
export function blockTypes(layout: MatrixLayout, storage: BlockStorage): PieceTypes {
  const { rows, symmetric } = layout;
  const { container, block, scaleDType } = storage;
  const blocks = blocksOf(layout, storage);
  return {
    codes: { dtypes: ['uint8'], shape: [rows, blocks, (block * container) / 8] },
    scales: { dtypes: [scaleDType], shape: [rows, blocks] },
    ...(symmetric ? {} : { zeros: { dtypes: ['uint8'], shape: [rows, Math.ceil((blocks * container) / 8)] } }),
  };
}

/** The inverse of `encodeBlocks`. `target`: a buffer of rows * columns that may become the codes. */
export function decodeBlocks(pieces: Pieces, layout: MatrixLayout, storage: BlockStorage, target?: Uint8Array): MatrixValues {
  const { rows, columns, bits } = layout;
  const { container, block } = storage;
  const blocks = blocksOf(layout, storage);
  const groups = groupsPerRow(layout);
  const plane = { width: container, shift: 0 };
  const padded = blocks * block === columns && target ? target.fill(0) : new Uint8Array(rows * blocks * block);
  unpackPlane(pieces['codes']!.bytes, plane, padded);
  const zeroPoints = new Uint8Array(rows * groups).fill(2 ** (bits - 1));
  const stored = pieces['zeros'];
  if (stored !== undefined) {
    const perRow = (Math.ceil((blocks * container) / 8) * 8) / container;
    const all = new Uint8Array(rows * perRow);
    unpackPlane(stored.bytes, plane, all);
    const used = groups === blocks ? all : cutRows(all, rows, perRow, blocks);
    if (groups !== blocks) checkRepeated(used, rows, blocks, 'zeros');
    if (perRow === groups) zeroPoints.set(all);
    else for (let row = 0; row < rows; row += 1) zeroPoints.set(all.subarray(row * perRow, row * perRow + groups), row * groups);
  }
  const repeated = decodeScales(pieces['scales']!);
  const same = groups === blocks;
  if (!same) checkRepeated(repeated, rows, blocks, 'scales');
  const scales = same ? repeated : new Float32Array(rows * groups);
  for (let row = 0; !same && row < rows; row += 1) scales.set(repeated.subarray(row * blocks, row * blocks + groups), row * groups);
  const codes = cutRows(padded, rows, blocks * block, columns);
  if (container > bits) checkCodes(codes, bits);
  return { codes, scales, zeroPoints };
}

/** Rows of the matrix for ids [batch, sequence]: float32 [batch, sequence, columns]. Only the rows asked for are unpacked. */
export function gatherBlocks(build: GraphBuilder, stored: Stored, layout: MatrixLayout, storage: BlockStorage, ids: Value): Value {
  const take = (name: string) => stored[name] && build.op('Gather', [stored[name], ids], { axis: int(0) });
  return unpackRows(build, { codes: take('codes')!, scales: take('scales')!, zeros: take('zeros') }, layout, storage, [0, 0]);
}

/** Rows `from` to `to` as one float32 constant [to - from, columns]. */
export function unpackBlocks(
  build: GraphBuilder,
  stored: Stored,
  layout: MatrixLayout,
  storage: BlockStorage,
  from: number,
  to: number,
): Value {
  const all = from === 0 && to === layout.rows;
  const cut = (name: string) => {
    const value = stored[name];
    return value === undefined || all ? value : build.op('Slice', [value, build.int64([from]), build.int64([to]), build.int64([0])]);
  };
  return unpackRows(build, { codes: cut('codes')!, scales: cut('scales')!, zeros: cut('zeros') }, layout, storage, [to - from]);
}

/** (code - zero) * scale for rows with the given leading axes (0 keeps an axis unchanged). */
function unpackRows(
  build: GraphBuilder,
  rows: { readonly codes: Value; readonly scales: Value; readonly zeros: Value | undefined },
  layout: MatrixLayout,
  storage: BlockStorage,
  leading: readonly number[],
): Value {
  const { container, block } = storage;
  const blocks = blocksOf(layout, storage);
  const plane = { width: container, shift: 0 };
  const unpack = (packed: Value) => (container === 8 ? packed : lookedUp(build, packed, plane));
  const reshape = (value: Value, tail: readonly number[]) => build.op('Reshape', [value, build.int64([...leading, ...tail])]);
  const slice = (value: Value, end: number) => build.op('Slice', [value, build.int64([0]), build.int64([end]), build.int64([-1])]);
  const codes = asFloat32(build, reshape(unpack(rows.codes), [blocks, block]));
  const zeroPlaces = (Math.ceil((blocks * container) / 8) * 8) / container;
  const zeros = rows.zeros && slice(reshape(unpack(rows.zeros), [zeroPlaces]), blocks);
  const centred = build.op('Sub', [
    codes,
    zeros === undefined ? build.float32(2 ** (layout.bits - 1)) : reshape(asFloat32(build, zeros), [blocks, 1]),
  ]);
  const scaled = build.op('Mul', [centred, reshape(asFloat32(build, rows.scales), [blocks, 1])]);
  const flat = reshape(scaled, [blocks * block]);
  return blocks * block === layout.columns ? flat : slice(flat, layout.columns);
}

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
