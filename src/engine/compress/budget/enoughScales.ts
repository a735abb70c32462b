import type { ParamValues } from '../../../common/params';
import type { TensorPlan } from '../plan';
import { leastHalfScale } from '../quantizers/rounding/halfScales';
import { plannedAlone } from './options';

/** Choosing a range by squared error leaves at least this share of the step that covers all weights: least squares halves it at most twice, after a cut to a third. */
const leastClippedShare = 1 / 12;

/**
 * Decides, before a budget compares sizes, where float16 scales are too coarse for a tensor: the function gives parameters with float32 scales where the method would
 * store them so, so that the budget counts and measures what is written. `weights` [rows, columns] float32; `importance` [columns].
 */
export function enoughScales(
  { quantizer, tensor }: Pick<TensorPlan, 'quantizer' | 'tensor'>,
  weights: Float32Array,
  importance?: Float32Array,
): (parameters: ParamValues) => ParamValues {
  const ranges = new Map<unknown, number>();
  return (parameters) => {
    if (parameters['scales'] !== 'float16') return parameters;
    const planned = (more: ParamValues) =>
      plannedAlone(quantizer)({ tensor, weights, ...(importance ? { importance } : {}) }, { ...parameters, ...more });
    const levels = 2 ** Number(parameters['bits']) - 1;
    let range = ranges.get(parameters['groupSize']);
    if (range === undefined) {
      range = levels * leastAbove0(planned({ scales: 'float32', ...('clip' in parameters ? { clip: false } : {}) }).scales);
      ranges.set(parameters['groupSize'], range);
    }
    // Nearly all tensors: no group comes near the limit, so that they need not be rounded once more for each option.
    if ((range / levels) * leastClippedShare >= leastHalfScale) return parameters;
    return planned({}).scaleDType === 'float32' ? { ...parameters, scales: 'float32' } : parameters;
  };
}

function leastAbove0(scales: Float32Array): number {
  let least = Infinity;
  for (const scale of scales) if (scale > 0 && scale < least) least = scale;
  return least;
}
