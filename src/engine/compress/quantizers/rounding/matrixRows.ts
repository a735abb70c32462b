/** Rows of a transposed matrix that are turned at a time: four lines of the cache from every stored row. */
export const turnedRows = 64;
/** Added to the length of a turned row, so that the rows of a block do not all fall into the same few sets of the cache. */
const padding = 16;

/**
 * The rows of a matrix [rows, columns] wherever they are stored: row-major, or transposed as [columns, rows]. Of a transposed one some rows are turned
 * at a time and kept until others are asked for, so it is read in order and never held twice.
 */
export class MatrixRows {
  /** Where the weights of the row asked for last are. */
  readonly values: Float32Array;
  /** The same memory as bits. */
  readonly bits: Int32Array;
  private readonly stride: number;
  private readonly most: number;
  private first = 0;
  private loaded = 0;

  /** `together`: rows that must be available at the same time, one right after the other; default: one. */
  constructor(
    private readonly stored: Float32Array,
    private readonly rows: number,
    private readonly columns: number,
    private readonly transposed: boolean,
    together?: number,
  ) {
    this.most = together ?? Math.min(turnedRows, rows);
    this.stride = together === undefined ? columns + padding : columns;
    this.values = transposed ? new Float32Array(this.most * this.stride) : stored;
    this.bits = new Int32Array(this.values.buffer, this.values.byteOffset, this.values.length);
  }

  /** Place of a row's first weight in `values`, good until another row is asked for. */
  at(row: number): number {
    if (!this.transposed) return row * this.columns;
    if (row < this.first || row >= this.first + this.loaded) this.turn(row);
    return (row - this.first) * this.stride;
  }

  private turn(first: number): void {
    const { stored, values, rows, columns, stride } = this;
    const count = Math.min(this.most, rows - first);
    for (let column = 0; column < columns; column += 1) {
      const from = column * rows + first;
      for (let row = 0, place = column; row < count; row += 1, place += stride) values[place] = stored[from + row] as number;
    }
    this.first = first;
    this.loaded = count;
  }
}
