import { dequantizeLearned, learnedGroupSize, learnedStep } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { matrixOf } from '../../formats/archive/tensorKinds';
import { dequantize } from '../../outputs/planned/dequantize';
import type { QuantizedMatrix } from '../../outputs/planned/plannedTensor';
import type { RoundsLearned } from '../../outputs/writers/outputWriter';
import { groupingOf } from '../quantizers/parameters';
import { roundWithEnoughScales } from '../quantizers/rounding/halfScales';

/** A learned tensor rounded to a width that a kernel has. */
export interface SnappedTensor {
  readonly matrix: QuantizedMatrix;
  readonly bits: number;
  /** Norm of the difference to the learned values, divided by their norm. */
  readonly relativeError: number;
}

/**
 * Rounds the values of a learned tensor to the narrowest of the widths (ascending; groups along the inputs, zero points, float16 scales) whose own error is
 * not larger than the rounding that the learned widths have already: mean squared difference at most the mean of step^2 / 12 over all weights. Where even the widest
 * is coarser than that, the widest.
 */
export function snapWidths(tensor: LearnedTensor, { widths, groupSize }: Pick<RoundsLearned, 'widths' | 'groupSize'>): SnappedTensor {
  const values = dequantizeLearned(tensor);
  const { rows, columns } = matrixOf(tensor.shape);
  const allowed = roundingNoise(tensor);
  let norm = 0;
  for (const value of values) norm += value * value;
  let best: SnappedTensor | undefined;
  for (const bits of widths) {
    const options = { ...groupingOf(rows, columns, { groupSize }), bits, symmetric: false, scaleDType: 'float16' } as const;
    const matrix = roundWithEnoughScales(tensor.name, values, rows, columns, options);
    const written = dequantize(matrix);
    let error = 0;
    for (let index = 0; index < values.length; index += 1) error += ((written[index] as number) - (values[index] as number)) ** 2;
    best = { matrix, bits, relativeError: norm === 0 ? 0 : Math.sqrt(error / norm) };
    if (error <= allowed) break;
  }
  return best as SnappedTensor;
}

/** Sum of step^2 / 12 over all weights: the expected squared error of rounding to the learned widths. */
function roundingNoise(tensor: LearnedTensor): number {
  const size = learnedGroupSize(tensor);
  let noise = 0;
  for (let group = 0; group < tensor.bits.length; group += 1) {
    const entries = Math.min((group + 1) * size, tensor.levels.length) - group * size;
    noise += (entries * learnedStep(tensor.minimum, tensor.maximum, tensor.bits[group] as number) ** 2) / 12;
  }
  return noise;
}
