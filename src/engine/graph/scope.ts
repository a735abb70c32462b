import type { Value } from './graph';
import type { ConstantData } from './types';

/** The names that a graph's nodes may use; bodies of Loop, If and Scan also see those of the enclosing graphs. */
export interface Scope {
  readonly values: Map<string, Value>;
  readonly constants: Map<Value, ConstantData>;
  readonly outer: Scope | undefined;
}

/** The value of that name in the nearest scope that has one. */
export function lookUp(scope: Scope | undefined, name: string): Value | undefined {
  for (let at = scope; at !== undefined; at = at.outer) {
    const value = at.values.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The constant behind a value, in whichever scope it was defined. */
export function constantBehind(scope: Scope | undefined, value: Value): ConstantData | undefined {
  for (let at = scope; at !== undefined; at = at.outer) {
    const data = at.constants.get(value);
    if (data !== undefined) return data;
  }
  return undefined;
}
