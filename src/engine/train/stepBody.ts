import { LoomweightError } from '../../protocol/errors';
import { differentiate, type CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { operators } from '../ops/index';
import { reshaped, staticShape } from '../ops/gradients';
import type { BatchInput } from './batches';
import { clippedGradients } from './clip';
import { NoiseDraws, type NoiseDemand, type NoiseKind, type NoiseSource } from './noiseDraws';
import type { ObjectiveStep, StepLoss, StepObjective } from './objective';
import { groupNamed, type OptimizerGroups } from './optimizers/groups';
import { slotKey, type StateTensor } from './state';
import type { TrainedTensor, UpdatePlanner } from './updates/updatePlanner';

/** What one training step is made of. */
export interface StepDescription {
  readonly objective: Pick<StepObjective, 'frozen' | 'addLoss'>;
  readonly state: readonly StateTensor[];
  readonly groups: OptimizerGroups;
  readonly updates: UpdatePlanner;
  /** Inputs of a batch, `label` included. */
  readonly data: readonly BatchInput[];
  /** Largest norm of all gradients together. */
  readonly clip?: number | undefined;
  /** `ObjectiveStep.batchLast`. Default: false. */
  readonly batchLast?: boolean;
  /** Longest stretch of a noise pool that is drawn at one offset. */
  readonly longestDraw: number;
}

/** What a step takes: values of the graph that it is built in. */
export interface StepInputs {
  /** In the order of the description's state, each in its carried shape. */
  readonly state: readonly Value[];
  /** By name, in their shapes. */
  readonly frozen: ReadonlyMap<string, Value>;
  readonly data: Readonly<Record<string, Value>>;
  /** A float32 scalar of this step. */
  scalar(name: string): Value;
  noise(kind: NoiseKind): NoiseSource;
}

/** What a step gives. */
export interface StepOutputs {
  /** In the order of the description's state, each in its carried shape. */
  readonly state: readonly Value[];
  /** float32 scalars: `loss` first. */
  readonly metrics: ReadonlyMap<string, Value>;
  readonly noise: ReadonlyMap<NoiseKind, NoiseDemand>;
}

/** Names of a step's scalars: the step's number, those of groups and those of the objective. */
export const scalarNames = {
  step: 'step',
  group: (group: string, name: string): string => `group/${group}/${name}`,
  objective: (name: string): string => `objective/${name}`,
};

/** Adds one whole training step to a graph: loss, gradients, updates. */
export function addStep(build: GraphBuilder, description: StepDescription, inputs: StepInputs): StepOutputs {
  const { objective, state } = description;
  const carried = new Map(state.map(({ key }, index) => [key, inputs.state[index] as Value]));
  const values = new Map<string, Value>(inputs.frozen);
  for (const { key, shape, slotOf } of state) if (!slotOf) values.set(key, inShape(build, carried.get(key) as Value, shape));
  const regions: CustomGradient[] = [];
  const draws = new NoiseDraws(build, (kind) => inputs.noise(kind), description.longestDraw);
  const step: ObjectiveStep = {
    build,
    value: (name) => named(values, name),
    batch: inputs.data,
    step: inputs.scalar(scalarNames.step),
    scalar: (name) => inputs.scalar(scalarNames.objective(name)),
    noise: (key, shape, kind) => draws.take(key, shape, kind),
    custom: (region) => regions.push(region),
    batchLast: description.batchLast ?? false,
  };
  const { target, loss = target, next = {}, metrics = {} } = objective.addLoss(step);

  const trained = trainedTensors(description, carried, values, inputs);
  const updates = description.updates.plan({
    build,
    nodes: build.nodesSoFar(),
    target,
    tensors: trained,
    regions,
    clipped: description.clip !== undefined,
  });
  const gradients = clippedGradients(
    build,
    differentiate(
      build,
      target,
      trained.map(({ value }) => value),
      { rules: operators, custom: [...regions, ...updates.regions] },
    ),
    description.clip,
  );
  const updated = updates.finish((tensor) => gradients[trained.indexOf(tensor)]);

  const after = new Map(carried);
  for (const [tensor, { value, slots }] of updated) {
    after.set(tensor.state.key, value);
    for (const [slot, slotValue] of Object.entries(slots)) after.set(slotKey(slot, tensor.state.key), slotValue);
  }
  for (const [name, value] of Object.entries(checkedNext(state, next))) after.set(name, value);
  return {
    state: state.map((tensor) => inShape(build, after.get(tensor.key) as Value, description.updates.carriedShape(tensor))),
    metrics: new Map([['loss', loss], ...Object.entries(metrics)]),
    noise: draws.demand(),
  };
}

function named(values: ReadonlyMap<string, Value>, name: string): Value {
  const value = values.get(name);
  if (value) return value;
  throw new LoomweightError('internal', `The training has no tensor '${name}'.`, { name });
}

/** An optimiser's tensor has one who changes it: the optimiser. */
function checkedNext(state: readonly StateTensor[], next: NonNullable<StepLoss['next']>): NonNullable<StepLoss['next']> {
  for (const name of Object.keys(next)) {
    const tensor = state.find(({ key, slotOf }) => key === name && !slotOf);
    if (tensor && tensor.group === undefined) continue;
    const why = tensor ? `it is trained by the group '${String(tensor.group)}'` : 'there is no such variable';
    throw new LoomweightError('internal', `A step returns a new value of '${name}', but ${why}.`, { name });
  }
  return next;
}

function trainedTensors(
  { state, groups }: StepDescription,
  carried: ReadonlyMap<string, Value>,
  values: ReadonlyMap<string, Value>,
  inputs: StepInputs,
): readonly TrainedTensor[] {
  return state.flatMap((tensor): readonly TrainedTensor[] => {
    const { key, group, slotOf } = tensor;
    if (group === undefined || slotOf) return [];
    const { optimizer } = groupNamed(groups, group);
    return [
      {
        state: tensor,
        value: named(values, key),
        carried: named(carried, key),
        slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, named(carried, slotKey(slot, key))])),
        optimizer,
        scalars: Object.fromEntries(optimizer.scalarNames.map((name) => [name, inputs.scalar(scalarNames.group(group, name))])),
      },
    ];
  });
}

function inShape(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const now = staticShape(value);
  return now.length === shape.length && now.every((length, axis) => length === shape[axis]) ? value : reshaped(build, value, shape);
}
