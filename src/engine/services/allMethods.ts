import type { MethodDescription } from '../../protocol/methods';
import { stepKinds } from '../jobs/index';
import type { StepKind } from '../jobs/stepKind';

/** Every method of every kind as plain data: for panels and documents. A method shared by two kinds is listed once. */
export function describeAllMethods(kinds: readonly StepKind[] = stepKinds): readonly MethodDescription[] {
  const methods = new Map<string, MethodDescription>();
  for (const method of kinds.flatMap((kind) => kind.methods?.() ?? [])) methods.set(`${method.family}/${method.id}`, method);
  return [...methods.values()];
}
