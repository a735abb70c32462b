import { suggestion } from '../../../common/nearest';
import { LoomweightError } from '../../../protocol/errors';
import type { MethodDescription } from '../../../protocol/methods';
import type { WeightMethod } from '../contract';
import { diffq } from './diffq';
import { floatTraining } from './float';
import { lsq } from './lsq';
import { pqk } from './pqk';
import { qat } from './qat';
import { quantNoise } from './quantNoise';

/** Every way to train weights that will be stored with few bits. To add one: a file like qat.ts and a line here. */
export const weightMethods: readonly WeightMethod[] = [diffq, qat, lsq, quantNoise, pqk, floatTraining];

/** The method with that id. Errors: `invalid-argument` that lists what there is. */
export function findWeightMethod(id: string): WeightMethod {
  const found = weightMethods.find((method) => method.id === id);
  if (found) return found;
  const ids = weightMethods.map((method) => method.id);
  throw new LoomweightError('invalid-argument', `Unknown training method '${id}'. Methods: ${ids.join(', ')}.${suggestion(id, ids)}`, {
    method: id,
  });
}

/** The training methods as plain data: for flags, panels, recipes and docs/methods.md. */
export function describeWeightMethods(): MethodDescription[] {
  return weightMethods.map(({ id, label, summary, source, parameters, learnsWidths }) => ({
    id,
    family: 'training',
    label,
    summary,
    source,
    parameters,
    needs: [],
    learnsWidths,
  }));
}
