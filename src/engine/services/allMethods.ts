import type { MethodDescription } from '../../protocol/methods';
import { describeMethods } from '../compress/quantizers';
import { describeWeightMethods } from '../train/methods/index';

/** Every method of every family as plain data: for recipes, panels and documents. */
export function describeAllMethods(): readonly MethodDescription[] {
  return [...describeMethods(), ...describeWeightMethods()];
}
