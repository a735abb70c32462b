import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorPicture } from '../../../protocol/model';
import type { TensorContainer, TensorEntry } from '../../formats/container';
import { decodeToFloat32, isDecodable } from '../../formats/decode';
import { readElements } from './elements';
import { tensorNotFound } from '../../formats/malformed';

/** The part of a tensor to draw, and its size. */
export interface PictureRequest {
  /** In elements; clamped to the matrix. Absent: the whole matrix. */
  readonly region?: TensorPicture['region'];
  /** Maximum width and height in cells, 1 to 4,096. */
  readonly width: number;
  readonly height: number;
  readonly signal?: AbortSignal;
}

/** Number of elements decoded at a time: 4 MB of float32. */
const elementsAtOnce = 2 ** 20;

/**
 * Draws a rectangle of a tensor, viewed as a matrix with leading axes folded into rows, as 8-bit levels. A cell that covers several
 * elements shows the one of largest magnitude, so that outliers never vanish. Streams by rows: memory is the picture and one band of rows,
 * whatever the size of the tensor. Rows are read whole unless the rectangle is a small part of them. Levels: 0 for cells without a finite
 * value, 1 to 255 from `low` to `high`.
 */
export async function tensorPicture(container: TensorContainer, name: string, request: PictureRequest): Promise<TensorPicture> {
  const entry = container.tensors.get(name);
  if (!entry) throw tensorNotFound(container.path, name);
  for (const size of [request.width, request.height]) {
    if (!Number.isInteger(size) || size < 1 || size > 4096)
      throw new LoomweightError('invalid-argument', `A picture has 1 to 4096 cells per side, got ${size}.`, { size });
  }
  // Throws for types without values before anything is read.
  if (!isDecodable(entry.dtype)) decodeToFloat32(entry.dtype, new Uint8Array(0));
  const { rows, columns } = matrixShape(entry.shape);
  const region = cutRegion(request.region, rows, columns);
  const width = Math.min(request.width, region.columns);
  const height = Math.min(request.height, region.rows);
  const cells = new Float32Array(width * height).fill(NaN);
  for await (const { row, values } of regionRows(container, entry, columns, region)) {
    request.signal?.throwIfAborted();
    const rowsRead = values.length / region.columns;
    for (let r = 0; r < rowsRead; r += 1) {
      const cellRow = Math.floor(((row + r - region.row) * height) / region.rows);
      foldRow(values.subarray(r * region.columns, (r + 1) * region.columns), cells.subarray(cellRow * width, (cellRow + 1) * width));
    }
  }
  return { rows, columns, region, width, height, ...toLevels(cells) };
}

/** A tensor as a matrix: the last axis is columns, all others rows; vectors are one row, scalars one cell. */
export function matrixShape(shape: readonly number[]): { readonly rows: number; readonly columns: number } {
  const columns = shape.at(-1) ?? 1;
  return { rows: elementCount(shape.slice(0, -1)), columns };
}

function cutRegion(region: TensorPicture['region'] | undefined, rows: number, columns: number): TensorPicture['region'] {
  if (!region) return { row: 0, column: 0, rows, columns };
  const between = (value: number, limit: number) => Math.min(Math.max(0, Math.floor(Number.isFinite(value) ? value : 0)), limit);
  const row = between(region.row, Math.max(0, rows - 1));
  const column = between(region.column, Math.max(0, columns - 1));
  return { row, column, rows: between(region.rows, rows - row), columns: between(region.columns, columns - column) };
}

/** Decoded bands of the region's rows, in order. */
async function* regionRows(
  container: TensorContainer,
  entry: TensorEntry,
  columns: number,
  region: TensorPicture['region'],
): AsyncGenerator<{ readonly row: number; readonly values: Float32Array }> {
  if (region.rows === 0 || region.columns === 0) return;
  // One read for many rows is much faster than one per row; worthwhile if at least an eighth of the bytes is used.
  const whole = region.columns * 8 >= columns && columns <= elementsAtOnce;
  if (!whole) {
    for (let row = region.row; row < region.row + region.rows; row += 1)
      yield { row, values: await readElements(container, entry, row * columns + region.column, region.columns) };
    return;
  }
  const band = Math.max(1, Math.floor(elementsAtOnce / columns));
  const end = region.row + region.rows;
  for (let row = region.row; row < end; row += band) {
    const count = Math.min(band, end - row);
    const values = await readElements(container, entry, row * columns, count * columns);
    yield { row, values: region.columns === columns ? values : cutColumns(values, columns, region, count) };
  }
}

function cutColumns(values: Float32Array, columns: number, region: TensorPicture['region'], rows: number): Float32Array {
  const cut = new Float32Array(rows * region.columns);
  for (let r = 0; r < rows; r += 1) {
    const start = r * columns + region.column;
    cut.set(values.subarray(start, start + region.columns), r * region.columns);
  }
  return cut;
}

/** Reduces a row of elements to a row of cells, keeping the finite value of largest magnitude. */
function foldRow(values: Float32Array, cells: Float32Array): void {
  const step = cells.length / values.length;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (value - value !== 0) continue;
    const cell = Math.min(cells.length - 1, Math.floor(i * step));
    const shown = cells[cell] as number;
    if (!(Math.abs(value) <= Math.abs(shown))) cells[cell] = value;
  }
}

function toLevels(cells: Float32Array): Pick<TensorPicture, 'low' | 'high' | 'levels'> {
  let low = Infinity;
  let high = -Infinity;
  for (const value of cells) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const levels = new Uint8Array(cells.length);
  if (low > high) return { low: 0, high: 0, levels };
  const scale = high > low ? 254 / (high - low) : 0;
  for (let i = 0; i < cells.length; i += 1) {
    const value = cells[i] as number;
    if (!Number.isNaN(value)) levels[i] = 1 + Math.round((value - low) * scale);
  }
  return { low, high, levels };
}
