import type { QuantizedMatrix } from '../../../outputs/planned/plannedTensor';
import { roundGroups } from './roundGroups';

/**
 * float16 scales below this have fewer than seven bits: rounding one up stretches the levels of its group by 1.6 % and more, and makes the weights 0 where the scale is far below
 * the smallest subnormal number.
 */
export const leastHalfScale = 2 ** -18;

/** True if float16 is too coarse for a scale of the matrix: its scales are then stored as float32. Scales of pruned groups are 0. */
export function losesScales({ scales, scaleDType }: Pick<QuantizedMatrix, 'scales' | 'scaleDType'>): boolean {
  return scaleDType === 'float16' && scales.some((scale) => scale > 0 && scale < leastHalfScale);
}

/** As `roundGroups`, with float32 scales where float16 is too coarse for one of them. */
export function roundWithEnoughScales(...[name, weights, rows, columns, options]: Parameters<typeof roundGroups>): QuantizedMatrix {
  const matrix = roundGroups(name, weights, rows, columns, options);
  return losesScales(matrix) ? roundGroups(name, weights, rows, columns, { ...options, scaleDType: 'float32' }) : matrix;
}
