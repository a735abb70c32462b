import { halfEvenShift } from '../../../../common/rounding';
import { sweepColumns } from '../../../kernels/host/secondOrder/sweepColumns';
import type { Products } from '../../../kernels/host/secondOrder/subtractProduct';
import type { QuantizedMatrix } from '../../../outputs/planned/plannedTensor';
import type { Grouping } from '../parameters';
import type { FactoredHessian } from './factoredHessian';
import { gridsOf, type Grids, type GridSettings } from './groupGrids';

/** A weight matrix to be rounded column after column. */
export interface SweptMatrix extends GridSettings, Pick<Grouping, 'granularity' | 'groupSize' | 'groupsPerRow'> {
  readonly columns: number;
  /** [rows, columns] float32, not changed. */
  readonly weights: Float32Array;
  readonly hessian: FactoredHessian;
  /** Groups are cut from the columns in their own order, and placed before the sweep. */
  readonly staticGroups: boolean;
  /** Widths of the groups, [rows, groups]; only with `staticGroups` or one group a row. */
  readonly groupBits?: Uint8Array;
  /** Columns of a block of the sweep. */
  readonly blockSize: number;
  /** What moves the columns behind a block. Default: the loop. */
  readonly products?: Products;
  /** A buffer of rows * columns for the codes. */
  readonly codes?: Uint8Array;
}

/** A matrix as planned, and half the increase of the squared output error that the sweep predicts, in units of the Hessian. */
export interface SweptResult {
  readonly matrix: QuantizedMatrix;
  readonly loss: number;
}

/**
 * Rounds a matrix by GPTQ. Where scales come from, as in the published code: of rows and of the whole tensor from the weights before columns of dead inputs become 0; of static groups
 * after that; of other groups from the weights as they are at the start of the block in which the group begins, in the order of the sweep.
 */
export async function sweepMatrix(swept: SweptMatrix): Promise<SweptResult> {
  const { rows, columns, bits, granularity, groupSize, groupsPerRow, hessian, groupBits, blockSize } = swept;
  const { order, dead, factor } = hessian;
  const whole = granularity !== 'group' || groupsPerRow === 1;
  const dynamic = !whole && !swept.staticGroups;
  // Reported where it is, before the sweep spreads it.
  if (!swept.weights.every(Number.isFinite)) gridsOf(swept, swept.weights, columns, swept);
  const values = Float64Array.from(swept.weights);
  const grids: Grids = whole
    ? gridsOf(swept, swept.weights, columns, swept, groupBits)
    : dynamic
      ? { scales: new Float32Array(rows * groupsPerRow), zeroPoints: new Uint8Array(rows * groupsPerRow) }
      : gridsOf(swept, withoutColumns(swept.weights, rows, columns, dead), columns, swept, groupBits);
  for (let row = 0; row < rows; row += 1) for (const column of dead) values[row * columns + column] = 0;
  const weights = order ? ordered(values, rows, columns, order) : values;
  // Codes of dynamic groups stay in the order of the sweep, in which the groups are cut.
  const placeOf = (position: number): number => (order && !dynamic ? (order[position] as number) : position);
  const places = Uint32Array.from({ length: columns }, (_, position) => placeOf(position));
  const groupAt = places.map((place) => (whole ? 0 : Math.floor(place / groupSize)));
  const codes = swept.codes ?? new Uint8Array(rows * columns);
  const { scales, zeroPoints } = grids;
  const tops = groupBits && Uint8Array.from(groupBits, (width) => 2 ** width - 1);
  const top = 2 ** bits - 1;
  const loss = await sweepColumns({
    rows,
    columns,
    weights,
    factor,
    blockSize,
    products: swept.products,
    startBlock: (from, to) => {
      if (!dynamic) return;
      for (let group = Math.ceil(from / groupSize); group * groupSize < to; group += 1) placeGroup(swept, weights, group, grids);
    },
    replace: (row, position, value) => {
      const group = row * groupsPerRow + (groupAt[position] as number);
      const zero = zeroPoints[group] as number;
      const scale = scales[group] as number;
      const most = tops ? (tops[group] as number) : top;
      if (scale === 0) {
        codes[row * columns + (places[position] as number)] = 0;
        return 0;
      }
      const level = Math.fround(value / scale) + halfEvenShift - halfEvenShift + zero;
      const code = level < 0 ? 0 : level > most ? most : level;
      codes[row * columns + (places[position] as number)] = code;
      return Math.fround((code - zero) * scale);
    },
  });
  return {
    loss,
    matrix: {
      kind: 'grouped',
      rows,
      columns,
      bits,
      groupSize,
      granularity,
      symmetric: swept.symmetric,
      codes,
      scales,
      scaleDType: swept.scaleDType,
      zeroPoints,
      ...(groupBits ? { groupBits } : {}),
      ...(order && dynamic ? { columnOrder: order } : {}),
    },
  };
}

/** Places the scales of one group of every row from what the sweep has made of its weights. */
function placeGroup(swept: SweptMatrix, weights: Float64Array, group: number, { scales, zeroPoints }: Grids): void {
  const { rows, columns, groupSize, groupsPerRow } = swept;
  const start = group * groupSize;
  const count = Math.min(groupSize, columns - start);
  const part = new Float32Array(rows * count);
  for (let row = 0; row < rows; row += 1) part.set(weights.subarray(row * columns + start, row * columns + start + count), row * count);
  const placed = gridsOf(swept, part, count, { granularity: 'group', groupSize: count, groupsPerRow: 1 });
  for (let row = 0; row < rows; row += 1) {
    scales[row * groupsPerRow + group] = placed.scales[row] as number;
    zeroPoints[row * groupsPerRow + group] = placed.zeroPoints[row] as number;
  }
}

function ordered(values: Float64Array, rows: number, columns: number, order: Uint32Array): Float64Array {
  const result = new Float64Array(values.length);
  for (let row = 0, index = 0; row < rows; row += 1)
    for (let position = 0; position < columns; position += 1, index += 1)
      result[index] = values[row * columns + (order[position] as number)] as number;
  return result;
}

function withoutColumns(weights: Float32Array, rows: number, columns: number, dead: readonly number[]): Float32Array {
  if (dead.length === 0) return weights;
  const result = weights.slice();
  for (let row = 0; row < rows; row += 1) for (const column of dead) result[row * columns + column] = 0;
  return result;
}
