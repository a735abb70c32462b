import { LoomweightError } from '../../../../protocol/errors';
import type { Measure } from '../measure';
import { activation } from './activation';
import { divergence } from './divergence';
import { error } from './error';
import { gradient } from './gradient';

/** Every measure of sensitivity. */
export const measures: readonly Measure[] = [error, activation, gradient, divergence];

/** The measure with that id. Throws `invalid-argument` that lists what there is. */
export function findMeasure(id: string): Measure {
  const found = measures.find((measure) => measure.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `Unknown sensitivity '${id}'. Measures: ${measures.map((each) => each.id).join(', ')}.`, {
    sensitivity: id,
  });
}
