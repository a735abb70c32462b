import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { FrozenTensor, HostValues, TrainVariable } from './objective';
import { groupNamed, type OptimizerGroups } from './optimizers/groups';

/** One tensor that a training carries from step to step. All are float32. */
export interface StateTensor {
  /** A variable's name, or `<slot>/<variable>`. */
  readonly key: string;
  readonly shape: readonly number[];
  /** Set for trained variables and their slots. */
  readonly group?: string;
  /** For an optimiser's slot: the variable it belongs to, and the slot's own name. */
  readonly slotOf?: { readonly variable: string; readonly slot: string };
}

/** Values by key. */
export type StateValues = ReadonlyMap<string, Float32Array>;

/** Everything that a training carries, in a fixed order: variables, then slots. Errors: `internal` for a group without settings and for a name that occurs twice. */
export function layOutState(variables: readonly TrainVariable[], groups: OptimizerGroups): readonly StateTensor[] {
  const own = variables.map(({ name, shape, group }): StateTensor => ({ key: name, shape, ...(group === undefined ? {} : { group }) }));
  const slots = variables.flatMap(({ name, shape, group }) =>
    group === undefined
      ? []
      : groupNamed(groups, group).optimizer.slots.map((slot): StateTensor => ({
          key: slotKey(slot, name),
          shape,
          group,
          slotOf: { variable: name, slot },
        })),
  );
  const layout = [...own, ...slots];
  const twice = layout.find(({ key }, index) => layout.findIndex((other) => other.key === key) !== index);
  if (twice) throw new LoomweightError('internal', `Two tensors of the training are named '${twice.key}'.`, { key: twice.key });
  return layout;
}

/** Key of a variable's slot. */
export const slotKey = (slot: string, variable: string): string => `${slot}/${variable}`;

/** Values before the first step: the variables' own, slots of 0. */
export async function initialState(
  layout: readonly StateTensor[],
  variables: readonly TrainVariable[],
): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { name, shape, initial } of variables) values.set(name, checked(name, shape, await initial()).slice());
  for (const { key, shape, slotOf } of layout) if (slotOf) values.set(key, new Float32Array(elementCount(shape)));
  return values;
}

/** Values of frozen tensors by name. */
export async function frozenValues(frozen: readonly FrozenTensor[]): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const { name, shape, values } of frozen) found.set(name, checked(name, shape, await values()));
  return found;
}

function checked(name: string, shape: readonly number[], values: Float32Array): Float32Array {
  if (values.length === elementCount(shape)) return values;
  throw new LoomweightError('internal', `'${name}' of shape [${shape.join(', ')}] cannot have ${values.length} values.`, { name, shape });
}

/** Variables and frozen tensors as objectives see them. */
export function hostValues(state: StateValues, frozen: StateValues): HostValues {
  return (name) => {
    const found = state.get(name) ?? frozen.get(name);
    if (found) return found;
    throw new LoomweightError('internal', `The training has no tensor '${name}'.`, { name });
  };
}

/** Variables without the optimisers' slots: what evaluation and writing need. */
export function withoutSlots(layout: readonly StateTensor[], values: StateValues): Map<string, Float32Array> {
  return new Map(layout.flatMap(({ key, slotOf }) => (slotOf ? [] : [[key, values.get(key) as Float32Array] as const])));
}
