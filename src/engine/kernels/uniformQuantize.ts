import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import type { WeightGroups } from './weightGroups';

/** Ends of a grid: float32 scalars. */
export interface GridEnds {
  readonly minimum: Value;
  readonly maximum: Value;
}

/**
 * Rounds weights (stored shape) to the grid of their group's width, half to even:
 *
 *   level = round((w - minimum) / (maximum - minimum) (floor(2^b) - 1)),   w' = minimum + (maximum - minimum) level / (2^b - 1)
 *
 * Weights outside the range are clamped. `bits`: float32, one per group in the shape of the layout, at least 1; may be fractional. A
 * constant tensor is unchanged.
 */
export function uniformQuantize(
  build: GraphBuilder,
  weights: Value,
  bits: Value,
  { minimum, maximum }: GridEnds,
  groups: WeightGroups,
): Value {
  const { add, sub, mul, div, equal, where, op } = formula(build, 'float32');
  const range = sub(maximum, minimum);
  const divisor = where(equal(range, 0), 1, range);
  const levels = op('Pow', 2, bits);
  const upper = groups.spread(build, div(sub(op('Floor', levels), 1), divisor));
  const step = groups.spread(build, div(range, sub(levels, 1)));
  const inside = build.op('Clip', [groups.view(build, weights), minimum, maximum]);
  const level = op('Round', mul(sub(inside, minimum), upper));
  return groups.unview(build, add(mul(level, step), minimum));
}
