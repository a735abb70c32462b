import { dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import type { PlannedTensor, QuantizedMatrix, SparseTensor } from './plannedTensor';

/**
 * The float32 weights of a planned tensor. Matrices come as [rows * columns] in the order in which they were planned (linear layers as [out, in]), plain
 * values as they are stored. `target`: an array of the same length to be filled.
 */
export function dequantizePlanned(tensor: PlannedTensor, target?: Float32Array): Float32Array {
  switch (tensor.kind) {
    case 'grouped':
      return dequantize(tensor, target);
    case 'learned':
      return dequantizeLearned(tensor.tensor, target);
    case 'sparse':
      return dequantizeSparse(tensor, target);
    case 'plain':
      return target ? (target.set(tensor.values), target) : tensor.values;
  }
}

/** Dequantised weights, float32 [rows * columns]: (code - zero) * scale, one exact difference and one rounding (float zero points: two). */
export function dequantize(matrix: Omit<QuantizedMatrix, 'kind'>, target?: Float32Array): Float32Array {
  const { rows, columns, groupSize, codes, scales, columnOrder } = matrix;
  const zeroPoints = matrix.floatZeroPoints ?? matrix.zeroPoints;
  const result = target ?? new Float32Array(codes.length);
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      const end = row * columns + Math.min(column + groupSize, columns);
      const scale = scales[group] as number;
      const zero = zeroPoints[group] as number;
      if (columnOrder) {
        for (let place = column; row * columns + place < end; place += 1)
          result[row * columns + (columnOrder[place] as number)] = Math.fround((codes[row * columns + place] as number) - zero) * scale;
      } else if (matrix.floatZeroPoints)
        for (let index = row * columns + column; index < end; index += 1)
          result[index] = Math.fround((codes[index] as number) - zero) * scale;
      else for (let index = row * columns + column; index < end; index += 1) result[index] = ((codes[index] as number) - zero) * scale;
    }
  return result;
}

function dequantizeSparse(tensor: SparseTensor, target?: Float32Array): Float32Array {
  const { mask, values, quantized } = tensor;
  const count = tensor.rows * tensor.columns;
  const result = quantized ? dequantize(quantized, target) : (target ?? new Float32Array(count));
  let next = 0;
  for (let index = 0; index < count; index += 1) {
    const kept = (((mask[index >> 3] as number) >> (index & 7)) & 1) === 1;
    if (!kept) result[index] = 0;
    else if (!quantized) result[index] = values[next++] as number;
  }
  return result;
}

/** Norm of the error divided by the norm of the weights; 0 for weights that are all zero. float64 sums in the order of the matrix. */
export function relativeErrorOf(tensor: PlannedTensor, weights: Float32Array, buffer?: Float32Array): number {
  if (tensor.kind === 'grouped' && !tensor.columnOrder && !tensor.floatZeroPoints) return groupedError(tensor, weights);
  const values = dequantizePlanned(tensor, buffer);
  let error = 0;
  let total = 0;
  for (let index = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    const difference = (values[index] as number) - weight;
    error += difference * difference;
    total += weight * weight;
  }
  return total === 0 ? 0 : Math.sqrt(error / total);
}

/** Without an array of dequantised values: every weight of a data-free method passes here. Differences in float64. */
function groupedError({ rows, columns, groupSize, codes, scales, zeroPoints }: QuantizedMatrix, weights: Float32Array): number {
  let error = 0;
  let total = 0;
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      const end = row * columns + Math.min(column + groupSize, columns);
      const scale = scales[group] as number;
      const zero = zeroPoints[group] as number;
      for (let index = row * columns + column; index < end; index += 1) {
        const weight = weights[index] as number;
        const difference = ((codes[index] as number) - zero) * scale - weight;
        error += difference * difference;
        total += weight * weight;
      }
    }
  return total === 0 ? 0 : Math.sqrt(error / total);
}
