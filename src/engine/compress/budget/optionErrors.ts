import { dequantize } from '../../outputs/planned/dequantize';
import type { TensorPlan } from '../plan';
import { plannedAlone, type TensorOption } from './options';
import type { Weighting } from './measure';

/** Weights of a tensor that options are tried on; of larger ones rows spread evenly. */
export const triedWeights = 2 ** 15;

/**
 * Sum of weight * (weight - rounded weight)^2 over a tensor for each option, in the order of the options; of a large tensor from some of its rows.
 * `weights` [rows, columns] float32.
 */
export function optionErrors(
  plan: TensorPlan,
  weights: Float32Array,
  options: readonly TensorOption[],
  weighting: Weighting,
): readonly number[] {
  const [rows, columns] = plan.tensor.shape;
  const tried = Math.max(1, Math.min(rows, Math.floor(triedWeights / columns)));
  const rowOf = (index: number): number => Math.floor((index * rows) / tried);
  const some = tried === rows ? weights : new Float32Array(tried * columns);
  if (some !== weights)
    for (let row = 0; row < tried; row += 1) some.set(weights.subarray(rowOf(row) * columns, (rowOf(row) + 1) * columns), row * columns);
  const { columnWeights, elementWeights } = weighting;
  const tensor = { ...plan.tensor, shape: [tried, columns] as const };
  const planAlone = plannedAlone(plan.quantizer);
  return options.map(({ parameters }) => {
    const matrix = planAlone({ tensor, weights: some, ...(columnWeights ? { importance: columnWeights } : {}) }, parameters);
    const rounded = dequantize(matrix);
    let sum = 0;
    for (let row = 0, index = 0; row < tried; row += 1) {
      const base = rowOf(row) * columns;
      for (let column = 0; column < columns; column += 1, index += 1) {
        const error = (rounded[index] as number) - (some[index] as number);
        const weight = elementWeights ? (elementWeights[base + column] as number) : columnWeights ? (columnWeights[column] as number) : 1;
        sum += weight * error * error;
      }
    }
    return (sum * rows) / tried;
  });
}

/** Mean weight of each column, from those of single weights. */
export function weightOfColumns(elementWeights: Float32Array, columns: number): Float32Array {
  const rows = elementWeights.length / columns;
  const sums = new Float64Array(columns);
  for (let index = 0, column = 0; index < elementWeights.length; index += 1) {
    sums[column] = (sums[column] as number) + (elementWeights[index] as number);
    column = column + 1 === columns ? 0 : column + 1;
  }
  return Float32Array.from(sums, (sum) => sum / rows);
}

/** Sum of weight * value^2: what the same errors would be if every weight were lost. */
export function weightedSquares(weights: Float32Array, columns: number, { columnWeights }: Weighting): number {
  let sum = 0;
  for (let index = 0, column = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    sum += weight * weight * (columnWeights ? (columnWeights[column] as number) : 1);
    column = column + 1 === columns ? 0 : column + 1;
  }
  return sum;
}
