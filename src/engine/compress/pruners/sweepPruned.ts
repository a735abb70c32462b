import { halfEvenShift } from '../../../common/rounding';
import { sweepColumns } from '../../kernels/host/secondOrder/sweepColumns';
import type { Products } from '../../kernels/host/secondOrder/subtractProduct';
import type { QuantizedMatrix, SparseTensor } from '../../outputs/planned/plannedTensor';
import type { FactoredHessian } from '../quantizers/gptq/factoredHessian';
import { gridsOf } from '../quantizers/gptq/groupGrids';
import type { Grouping } from '../quantizers/parameters';
import type { QuantizableTensor } from '../quantizers/quantizer';
import { pruneWindows, type Pruned } from './masks';
import type { Sparsity } from './parameters';
import { sparseTensor } from './sparseTensor';

/** A weight matrix to be pruned column after column. */
export interface PrunedSweep {
  readonly tensor: QuantizableTensor;
  /** [rows, columns] float32, not changed. */
  readonly weights: Float32Array;
  /** In the order of the columns. */
  readonly hessian: FactoredHessian;
  readonly sparsity: Pick<Sparsity, 'sparsity' | 'window'> & Partial<Sparsity>;
  /** Columns of a block of the sweep. */
  readonly blockSize: number;
  /** What moves the columns behind a block. Default: the loop. */
  readonly products?: Products;
  /** How kept weights are rounded; absent: they stay floats. */
  readonly rounding?: Pick<Grouping, 'granularity' | 'groupSize' | 'groupsPerRow'> & {
    readonly bits: number;
    readonly symmetric: boolean;
    readonly scaleDType: 'float16' | 'float32';
  };
}

/**
 * Prunes a matrix by SparseGPT. A weight costs w^2 / U_ii^2. Anywhere: in each block of columns, over all rows together, those whose cost is at most the one at place
 * floor(count * sparsity) in rising order are pruned, so one more than that many. In windows: the cheapest of a row's next m, when the sweep reaches them. Scales of kept weights
 * come from the original weights. Gives the planned tensor and half the increase of the squared output error that the sweep predicts, in units of the Hessian.
 */
export async function sweepPruned({ tensor, weights, hessian, sparsity: wanted, blockSize, rounding, products }: PrunedSweep): Promise<{
  readonly tensor: SparseTensor;
  readonly loss: number;
}> {
  const [rows, columns] = tensor.shape;
  const { factor, dead } = hessian;
  const values = Float64Array.from(weights);
  for (let row = 0; row < rows; row += 1) for (const column of dead) values[row * columns + column] = 0;
  const pivots = Float64Array.from({ length: columns }, (_, column) => factor[column * columns + column] as number);
  const cost = (row: number, column: number): number => ((values[row * columns + column] as number) / (pivots[column] as number)) ** 2;
  const pruned: Pruned = new Uint8Array(weights.length);
  const round = rounding && roundingOf(tensor, weights, rounding);
  const { window, sparsity } = wanted;
  let blockStart = 0;
  let blockEnd = 0;
  const loss = await sweepColumns({
    rows,
    columns,
    weights: values,
    factor,
    blockSize,
    products,
    startBlock: (from, to) => {
      [blockStart, blockEnd] = [from, to];
      if (!window && sparsity > 0) pruneBlock(pruned, cost, { rows, columns, from, to, sparsity });
    },
    replace: (row, column, value) => {
      const place = row * columns + column;
      if (window && (column - blockStart) % window.m === 0) {
        const end = Math.min(column + window.m, blockEnd);
        const costs = Float64Array.from({ length: end - column }, (_, offset) => cost(row, column + offset));
        pruneWindows(costs, window.kept, window.m, pruned.subarray(place, place + costs.length));
      }
      if (pruned[place] === 1) return 0;
      return round ? round.at(row, column, value) : value;
    },
  });
  const made = sparseTensor(tensor, Float32Array.from(values), pruned, wanted.pattern ?? 'unstructured');
  return { loss, tensor: round ? { ...made, values: new Float32Array(0), quantized: round.matrix } : made };
}

/** Marks the cheapest weights of the columns `from` to `to`. */
function pruneBlock(
  pruned: Pruned,
  cost: (row: number, column: number) => number,
  { rows, columns, from, to, sparsity }: Readonly<Record<'rows' | 'columns' | 'from' | 'to' | 'sparsity', number>>,
): void {
  const width = to - from;
  const costs = Float64Array.from({ length: rows * width }, (_, index) => cost(Math.floor(index / width), from + (index % width)));
  const border = costs.slice().sort()[Math.floor(costs.length * sparsity)] as number;
  for (let index = 0; index < costs.length; index += 1)
    if ((costs[index] as number) <= border) pruned[Math.floor(index / width) * columns + from + (index % width)] = 1;
}

/** Rounds single weights on the grids of the original ones, and collects their codes. */
function roundingOf(
  { name, shape: [rows, columns] }: QuantizableTensor,
  weights: Float32Array,
  rounding: NonNullable<PrunedSweep['rounding']>,
): { readonly matrix: QuantizedMatrix; at(row: number, column: number, value: number): number } {
  const { bits, groupSize, groupsPerRow, granularity, symmetric, scaleDType } = rounding;
  const { scales, zeroPoints } = gridsOf({ ...rounding, name, rows, clip: false }, weights, columns, rounding);
  const codes = new Uint8Array(rows * columns);
  const top = 2 ** bits - 1;
  return {
    matrix: { kind: 'grouped', rows, columns, bits, groupSize, granularity, symmetric, codes, scales, scaleDType, zeroPoints },
    at: (row, column, value) => {
      const group = row * groupsPerRow + Math.floor(column / groupSize);
      const [scale, zero] = [scales[group] as number, zeroPoints[group] as number];
      const level = Math.fround(value / scale) + halfEvenShift - halfEvenShift + zero;
      const code = level < 0 ? 0 : level > top ? top : level;
      codes[row * columns + column] = code;
      return Math.fround((code - zero) * scale);
    },
  };
}
