import { LoomweightError } from '../../protocol/errors';
import type { HostState, MethodVariable, TrainableModel } from './contract';
import type { ParameterGroups, GroupName } from './optimizers/groups';

/** One tensor that a training carries from step to step. All are float32. */
export interface StateTensor {
  /** Unique: `parameter/<name>`, `variable/<name>`, `buffer/<name>`, or `<slot>/` before one of the first two. */
  readonly key: string;
  readonly kind: 'parameter' | 'variable' | 'buffer' | 'slot';
  readonly shape: readonly number[];
  /** Set for trained tensors and their slots. */
  readonly group?: GroupName;
  /** For slots: the key of the tensor they stand beside, and the slot's own name. */
  readonly of?: { readonly key: string; readonly slot: string };
}

/** Values by key. */
export type StateValues = ReadonlyMap<string, Float32Array>;

export const parameterKey = (name: string): string => `parameter/${name}`;
export const variableKey = (name: string): string => `variable/${name}`;
export const bufferKey = (name: string): string => `buffer/${name}`;

/** Everything that a training of a model with a method's variables carries, in a fixed order. */
export function layOutState(model: TrainableModel, variables: readonly MethodVariable[], groups: ParameterGroups): readonly StateTensor[] {
  const trained: StateTensor[] = [
    ...model.parameters.map((parameter): StateTensor => ({
      key: parameterKey(parameter.name),
      kind: 'parameter',
      shape: parameter.heldShape,
      ...(parameter.used ? { group: groups.groupOf(parameter) } : {}),
    })),
    ...variables.map(({ name, shape, group }): StateTensor => ({
      key: variableKey(name),
      kind: 'variable',
      shape,
      ...(group === 'carried' ? {} : { group: group === 'logits' ? 'logits' : 'plain' }),
    })),
  ];
  const slots = trained.flatMap(({ key, shape, group }) =>
    group === undefined
      ? []
      : groups[group].optimizer.slots.map((slot): StateTensor => ({
          key: `${slot}/${key}`,
          kind: 'slot',
          shape,
          group,
          of: { key, slot },
        })),
  );
  const buffers = model.buffers.map(({ name, shape }): StateTensor => ({ key: bufferKey(name), kind: 'buffer', shape }));
  return [...trained, ...buffers, ...slots];
}

/** Values before the first step: the model's own and the method's, slots of 0. */
export async function initialState(
  layout: readonly StateTensor[],
  model: TrainableModel,
  variables: readonly MethodVariable[],
): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { name, initial } of model.parameters) values.set(parameterKey(name), (await initial()).slice());
  for (const { name, initial } of variables) values.set(variableKey(name), initial.slice());
  for (const { name, initial } of model.buffers) values.set(bufferKey(name), await initial());
  for (const { key, kind, shape } of layout)
    if (kind === 'slot') values.set(key, new Float32Array(shape.reduce((product, length) => product * length, 1)));
  return values;
}

/** The state as methods see it. */
export function hostState(values: StateValues): HostState {
  const get = (key: string, found: Float32Array | undefined): Float32Array => {
    if (found) return found;
    throw new LoomweightError('internal', `The training's state has no '${key}'.`, { key });
  };
  return {
    parameter: (name) => get(name, values.get(parameterKey(name)) ?? values.get(bufferKey(name))),
    variable: (name) => get(name, values.get(variableKey(name))),
  };
}

/** Parameters, variables and buffers without the optimisers' slots: what evaluation and writing need. */
export function withoutSlots(layout: readonly StateTensor[], values: StateValues): Map<string, Float32Array> {
  return new Map(layout.flatMap(({ key, kind }) => (kind === 'slot' ? [] : [[key, values.get(key) as Float32Array] as const])));
}
