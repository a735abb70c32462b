import { transposeInto, transposeRows } from '../../../kernels/host/transpose';

/** Rows of a transposed matrix that are turned at a time: four lines of the cache from every stored row. */
export const turnedRows = 64;
/** Added to the length of a turned row, so that the rows of a block do not all fall into the same few sets of the cache. */
const padding = 16;

/** A matrix [rows, columns] as it is stored. */
export interface StoredMatrix {
  readonly weights: Float32Array;
  readonly rows: number;
  readonly columns: number;
  /** True if `weights` is [columns, rows]. */
  readonly transposed: boolean;
}

/** Weights of the buffer through which `MatrixRows` reads a matrix. */
export function bufferWeights({ rows, columns, transposed }: StoredMatrix): number {
  return transposed ? Math.min(turnedRows, rows) * (columns + padding) : columns;
}

/**
 * The rows of a matrix however it is stored, one after another in a buffer. Of a transposed one some rows are turned at a time and kept until others are
 * requested, so it is read in order and never held twice.
 */
export class MatrixRows {
  private readonly stride: number;
  private readonly most: number;
  private first = 0;
  private loaded = 0;

  /** `buffer`: holds `bufferWeights`. */
  constructor(
    private readonly matrix: StoredMatrix,
    private readonly buffer: Float32Array,
  ) {
    this.most = matrix.transposed ? Math.min(turnedRows, matrix.rows) : 1;
    this.stride = matrix.columns + padding;
  }

  /** Place of a row's first weight in the buffer, good until another row is requested. */
  at(row: number): number {
    if (row < this.first || row >= this.first + this.loaded) this.load(row);
    return (row - this.first) * this.stride;
  }

  private load(first: number): void {
    const { weights, rows, columns, transposed } = this.matrix;
    const { buffer, stride } = this;
    const count = Math.min(this.most, rows - first);
    if (!transposed) buffer.set(weights.subarray(first * columns, (first + 1) * columns));
    else transposeRows(weights.subarray(first), rows, columns, count, buffer, stride);
    this.first = first;
    this.loaded = count;
  }
}

/** The whole matrix row-major: the stored one itself, or a transposed copy. */
export function rowMajor({ weights, rows, columns, transposed }: StoredMatrix): Float32Array {
  return transposed ? transposeInto(weights, rows, 0, columns, new Float32Array(rows * columns)) : weights;
}
