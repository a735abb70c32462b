import type { BooleanParam } from '../../../common/params';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { SparseTensor } from '../../outputs/planned/plannedTensor';
import { requireFiniteInputs } from '../quantizers/finiteInputs';
import { defineQuantizer } from '../quantizers/quantizer';
import { rtn } from '../quantizers/rtn';
import { pruneLowest, pruneWindows, type Pruned } from './masks';
import { patternParameter, prunedOfRow, sparseLayout, sparsityOf, sparsityParameter, type Sparsity } from './parameters';
import { refuseUnranked, sparseTensor } from './sparseTensor';

const byShare: BooleanParam = {
  key: 'byShare',
  label: 'By share',
  doc: 'Prunes the same share of the scores of every row in place of the same number of its weights, so that rows with many small scores lose more.',
  kind: 'boolean',
  default: false,
};

/** Prunes by weight times input: the weights of a row that contribute least to the output. */
export const wanda = defineQuantizer({
  id: 'wanda',
  family: 'pruner',
  label: 'Wanda',
  summary:
    'Sets those weights of every row to 0 whose magnitude times the size of their input on calibration text is smallest. Other weights do not change.',
  source: {
    title: 'A Simple and Effective Pruning Approach for Large Language Models',
    authors: 'Sun, Liu, Bair, Kolter',
    year: 2023,
    url: 'https://arxiv.org/abs/2306.11695',
    equation: '1',
  },
  parameters: [sparsityParameter, patternParameter, byShare],
  needs: ['moments'],
  unit: 'block',
  propagate: 'result',
  appliesTo: rtn.appliesTo,
  layoutOf: (tensor, parameters) => {
    const { pattern, sparsity, window } = sparsityOf(parameters);
    if (window && parameters['byShare'] === true)
      throw new LoomweightError(
        'invalid-argument',
        `The pattern ${pattern} prunes the same number of weights everywhere. Omit --by-share.`,
        { pattern },
      );
    const [rows, columns] = tensor.shape;
    return sparseLayout(tensor, pattern, rows * (window ? prunedOfRow(columns, window) : Math.floor(columns * sparsity)));
  },
  blockErrorLimit: rtn.blockErrorLimit,
  planBlock: async ({ tensors, statisticsOf, note, signal }) => {
    const planned = new Map<string, SparseTensor>();
    for (const { tensor, weights, parameters } of tensors) {
      throwIfCancelled(signal);
      refuseUnranked(tensor, weights);
      const moments = statisticsOf(tensor.name)?.get('moments')?.values;
      if (moments) requireFiniteInputs(tensor.name, moments);
      else note(`'${tensor.name}' has no inputs to calibrate on and was pruned by the magnitude of its weights.`);
      const sparsity = sparsityOf(parameters);
      const pruned = leastContributing(
        weights,
        moments ?? new Float64Array(tensor.shape[1]).fill(1),
        sparsity,
        parameters['byShare'] === true,
      );
      planned.set(tensor.name, sparseTensor(tensor, weights, pruned, sparsity.pattern));
    }
    return { planned };
  },
});

/** The weights with the lowest |w_ij| * sqrt(moments_j) of every row. `moments` [columns]: mean squares of the inputs, in any unit. */
export function leastContributing(
  weights: Float32Array,
  moments: Float64Array,
  { sparsity, window }: Pick<Sparsity, 'sparsity' | 'window'>,
  share: boolean,
): Pruned {
  const columns = moments.length;
  const sizes = moments.map(Math.sqrt);
  const scores = Float64Array.from(weights, (weight, index) => Math.abs(weight) * (sizes[index % columns] as number));
  if (share && !window) return pruneByShare(scores, columns, sparsity);
  const pruned = new Uint8Array(weights.length);
  for (let start = 0; start < weights.length; start += columns) {
    const row = scores.subarray(start, start + columns);
    const ofRow = pruned.subarray(start, start + columns);
    if (window) pruneWindows(row, window.kept, window.m, ofRow);
    else pruneLowest(row, Math.floor(columns * sparsity), ofRow);
  }
  return pruned;
}

/** Where the search for the share starts, and how far from the sparsity or how fine it ends. */
const firstShare = 0.4;
const mostShare = 0.8;
const tolerance = 0.001;

/** Prunes the lowest scores of each row that together are at most a share of the row's sum; the share is found by bisection. */
function pruneByShare(scores: Float64Array, columns: number, sparsity: number): Pruned {
  const sorted = scores.slice();
  for (let start = 0; start < scores.length; start += columns) sorted.subarray(start, start + columns).sort();
  let [low, high, share] = [0, mostShare, firstShare];
  let pruned = upToShare(scores, sorted, columns, share);
  while (Math.abs(pruned.share - sparsity) > tolerance && high - low >= tolerance) {
    if (pruned.share > sparsity) {
      [high, share] = [share, (share + low) / 2];
    } else {
      [low, share] = [share, (share + high) / 2];
    }
    pruned = upToShare(scores, sorted, columns, share);
  }
  return pruned.marks;
}

function upToShare(
  scores: Float64Array,
  sorted: Float64Array,
  columns: number,
  share: number,
): { readonly marks: Pruned; readonly share: number } {
  const marks = new Uint8Array(scores.length);
  let count = 0;
  for (let start = 0; start < scores.length; start += columns) {
    const row = sorted.subarray(start, start + columns);
    const allowed = share * row.reduce((sum, score) => sum + score, 0);
    let [sum, border] = [0, -1];
    for (const score of row) {
      sum += score;
      if (sum > allowed) break;
      border = score;
    }
    for (let index = start; index < start + columns; index += 1) {
      if ((scores[index] as number) > border) continue;
      marks[index] = 1;
      count += 1;
    }
  }
  return { marks, share: count / scores.length };
}
