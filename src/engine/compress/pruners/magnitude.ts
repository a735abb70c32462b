import { throwIfCancelled } from '../../../protocol/errors';
import type { SparseTensor } from '../../outputs/planned/plannedTensor';
import { defineQuantizer } from '../quantizers/quantizer';
import { rtn } from '../quantizers/rtn';
import { magnitudeAt, pruneWindows, type Pruned } from './masks';
import { patternParameter, prunedOfRow, sparseLayout, sparsityOf, sparsityParameter, type Sparsity } from './parameters';
import { refuseUnranked, sparseTensor } from './sparseTensor';

/** Prunes the smallest weights of each layer: no data. The control that every other pruner must beat. */
export const magnitude = defineQuantizer({
  id: 'magnitude',
  family: 'pruner',
  label: 'Magnitude',
  summary: 'Sets the smallest weights of every layer to 0. Needs no data.',
  source: {
    title: 'Learning both Weights and Connections for Efficient Neural Networks',
    authors: 'Han, Pool, Tran, Dally',
    year: 2015,
    url: 'https://arxiv.org/abs/1506.02626',
  },
  parameters: [sparsityParameter, patternParameter],
  needs: [],
  unit: 'tensor',
  appliesTo: rtn.appliesTo,
  layoutOf: (tensor, parameters) => {
    const { pattern, sparsity, window } = sparsityOf(parameters);
    const [rows, columns] = tensor.shape;
    const pruned = window ? rows * prunedOfRow(columns, window) : Math.min(rows * columns, Math.floor(rows * columns * sparsity) + 1);
    return sparseLayout(tensor, pattern, sparsity === 0 ? 0 : pruned);
  },
  blockErrorLimit: rtn.blockErrorLimit,
  planBlock: async ({ tensors, signal }) => {
    const planned = new Map<string, SparseTensor>();
    for (const { tensor, weights, parameters } of tensors) {
      throwIfCancelled(signal);
      refuseUnranked(tensor, weights);
      const sparsity = sparsityOf(parameters);
      planned.set(tensor.name, sparseTensor(tensor, weights, smallest(weights, tensor.shape[1], sparsity), sparsity.pattern));
    }
    return { planned };
  },
});

/**
 * The smallest weights of a matrix. Anywhere: all whose magnitude is at most the one at place floor(count * sparsity) in rising order, as in the published comparisons, so at least one
 * more than that many.
 */
export function smallest(weights: Float32Array, columns: number, { sparsity, window }: Pick<Sparsity, 'sparsity' | 'window'>): Pruned {
  const pruned = new Uint8Array(weights.length);
  if (window) {
    for (let start = 0; start < weights.length; start += columns) {
      const scores = Float64Array.from(weights.subarray(start, start + columns), Math.abs);
      pruneWindows(scores, window.kept, window.m, pruned.subarray(start, start + columns));
    }
    return pruned;
  }
  if (sparsity === 0) return pruned;
  const border = magnitudeAt(weights, Math.floor(weights.length * sparsity));
  for (let index = 0; index < weights.length; index += 1) if (Math.abs(weights[index] as number) <= border) pruned[index] = 1;
  return pruned;
}
