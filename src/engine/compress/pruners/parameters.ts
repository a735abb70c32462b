import type { ChoiceParam, NumberParam, ParamValues } from '../../../common/params';
import { LoomweightError } from '../../../protocol/errors';
import type { SparseLayout, SparseTensor } from '../../outputs/planned/plannedTensor';
import type { QuantizableTensor } from '../quantizers/quantizer';

/** Share of the weights that a pattern prunes. */
const patternSparsity = 0.5;

/** Share of pruned weights. */
export const sparsityParameter: NumberParam = {
  key: 'sparsity',
  label: 'Sparsity',
  doc: 'Share of the weights that are pruned, that is, set to 0.',
  kind: 'number',
  min: 0,
  max: 0.99,
  default: patternSparsity,
};

/** Regular places of pruned weights. */
export const patternParameter: ChoiceParam = {
  key: 'pattern',
  label: 'Pattern',
  doc: 'Where weights are pruned: anywhere, or 2 of every 4 or 4 of every 8 consecutive weights of a row. No runtime is promised to be faster.',
  kind: 'choice',
  choices: ['unstructured', '2:4', '4:8'],
  default: 'unstructured',
};

/** What a pruner is asked for. */
export interface Sparsity {
  readonly pattern: SparseTensor['pattern'];
  readonly sparsity: number;
  /** With a pattern: of each `m` consecutive weights at most `kept` stay. */
  readonly window?: { readonly kept: number; readonly m: number };
}

/** Reads resolved `sparsity` and `pattern`. Errors: `invalid-argument` for a sparsity that the pattern does not have. */
export function sparsityOf(parameters: ParamValues): Sparsity {
  const sparsity = Number(parameters['sparsity']);
  const pattern = parameters['pattern'] === '2:4' || parameters['pattern'] === '4:8' ? parameters['pattern'] : 'unstructured';
  if (pattern === 'unstructured') return { pattern, sparsity };
  if (sparsity !== patternSparsity)
    throw new LoomweightError(
      'invalid-argument',
      `The pattern ${pattern} prunes half of the weights, but a sparsity of ${sparsity} was requested. Omit one of them.`,
      { pattern, sparsity },
    );
  const m = pattern === '2:4' ? 4 : 8;
  return { pattern, sparsity, window: { kept: m / 2, m } };
}

/** Layout of a pruned matrix; what is kept has the type of the source. `pruned`: weights that are expected to be 0. */
export function sparseLayout(
  { shape: [rows, columns], dtype }: QuantizableTensor,
  pattern: SparseTensor['pattern'],
  pruned: number,
): SparseLayout {
  return { kind: 'sparse', rows, columns, pattern, dtype: keptType(dtype), kept: rows * columns - pruned };
}

/** Type in which kept weights lose nothing. */
export function keptType(dtype: QuantizableTensor['dtype']): SparseTensor['dtype'] {
  return dtype === 'float16' || dtype === 'bfloat16' ? dtype : 'float32';
}

/** Weights of a row that a pattern prunes; the last ones of a row may be fewer than `m`. */
export function prunedOfRow(columns: number, { kept, m }: NonNullable<Sparsity['window']>): number {
  return Math.floor(columns / m) * (m - kept) + Math.max(0, (columns % m) - kept);
}
