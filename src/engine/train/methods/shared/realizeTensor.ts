import { roundHalfToEven } from '../../../../common/rounding';
import type { LearnedTensor } from '../../../formats/archive/learnedTensor';
import { elementCount } from '../../../../protocol/dtypes';
import { quantizeRun } from '../../../kernels/host/uniformQuantize';
import type { TrainableParameter } from '../../contract';
import { transposeMatrix } from '../../../kernels/host/transposeMatrix';

/** Weights of a parameter from the order that the trainer holds them in to the canonical one. */
export function canonicalWeights({ held, shape }: Pick<TrainableParameter, 'held' | 'shape'>, weights: Float32Array): Float32Array {
  if (held === 'canonical') return weights;
  return transposeMatrix(weights, shape[1] ?? 1, shape[0] ?? 1);
}

/** Groups, widths and ends of the grid that a tensor is rounded to. */
export interface TensorGrid {
  /** 0: the whole tensor is one group. */
  readonly groupSize: number;
  /** In canonical order, one for each group. */
  readonly bits: Uint8Array;
  readonly minimum: number;
  readonly maximum: number;
  readonly bitsOfWidth: number;
}

/** Rounds a parameter (weights in canonical order) to a grid. */
export function realizeTensor(parameter: TrainableParameter, weights: Float32Array, grid: TensorGrid): LearnedTensor {
  const levels = new Uint16Array(weights.length);
  const size = grid.groupSize === 0 ? Math.max(1, weights.length) : grid.groupSize;
  for (let group = 0, begin = 0; begin < weights.length; group += 1, begin += size)
    quantizeRun(weights, begin, Math.min(begin + size, weights.length), grid.bits[group] as number, grid, levels);
  return { ...headOf(parameter), ...grid, levels };
}

/**
 * A tensor with one width that may be fractional. Levels go to floor(2^bits) - 1, values divide by 2^bits - 1; it is stored with the next whole
 * width and an upper end that keeps all values unchanged.
 */
export function realizeOneWidth(
  parameter: TrainableParameter,
  weights: Float32Array,
  bits: number,
  range: { readonly minimum: number; readonly maximum: number },
): LearnedTensor {
  const levels = new Uint16Array(weights.length);
  quantizeRun(weights, 0, weights.length, bits, range, levels);
  const stored = Math.ceil(bits);
  const stretch = (2 ** stored - 1) / (2 ** bits - 1);
  return {
    ...headOf(parameter),
    groupSize: 0,
    bits: Uint8Array.of(stored),
    minimum: range.minimum,
    maximum: stored === bits ? range.maximum : Math.fround(range.minimum + (range.maximum - range.minimum) * stretch),
    levels,
    bitsOfWidth: 0,
  };
}

/** A tensor on a signed grid: weight = step * index, low <= index <= high. */
export function realizeSigned(
  parameter: TrainableParameter,
  weights: Float32Array,
  bits: number,
  step: number,
  { low, high }: { readonly low: number; readonly high: number },
): LearnedTensor {
  const minimum = Math.fround(step * low);
  const maximum = Math.fround(step * high);
  const levels = Uint16Array.from(weights, (weight) => {
    const scaled = Math.fround(weight / step);
    const inside = scaled < low ? low : scaled > high ? high : scaled;
    return roundHalfToEven(inside) - low;
  });
  return { ...headOf(parameter), groupSize: 0, bits: Uint8Array.of(bits), minimum, maximum, levels, bitsOfWidth: 0 };
}

function headOf({ name, shape, storedTransposed }: TrainableParameter): Pick<LearnedTensor, 'name' | 'shape' | 'transposed'> {
  return { name, shape, transposed: storedTransposed };
}

/** Entries of all parameters together. */
export const entriesOf = (parameters: readonly TrainableParameter[]): number =>
  parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
