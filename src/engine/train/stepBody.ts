import { differentiate, type CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import type { Loss } from '../kernels/losses';
import { operators } from '../ops/index';
import { reshaped, staticShape } from '../ops/gradients';
import { clippedGradients } from './clip';
import type { BatchInput, ForwardPass, MethodForward, MethodPlan, MethodStep, TrainableModel } from './contract';
import { NoiseDraws, type NoiseDemand, type NoiseKind, type NoiseSource } from './noiseDraws';
import type { ParameterGroups } from './optimizers/groups';
import { bufferKey, parameterKey, variableKey, type StateTensor } from './state';
import type { TrainedTensor, UpdatePlanner } from './updates/updatePlanner';

/** What one training step is made of. */
export interface StepDescription {
  readonly model: TrainableModel;
  readonly plan: MethodPlan;
  readonly state: readonly StateTensor[];
  readonly groups: ParameterGroups;
  readonly updates: UpdatePlanner;
  /** Inputs of a batch, `label` included. */
  readonly data: readonly BatchInput[];
  loss(build: GraphBuilder, outputs: Readonly<Record<string, Value>>, batch: Readonly<Record<string, Value>>): Loss;
  /** Steps of the whole job. */
  readonly steps: number;
  /** Largest norm of all gradients together. */
  readonly clip?: number;
  /** Longest stretch of a noise pool that is drawn at one offset. */
  readonly longestDraw: number;
}

/** What a step takes: values of the graph that it is built in. */
export interface StepInputs {
  /** In the order of the description's state, each in its carried shape. */
  readonly state: readonly Value[];
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

/** Adds one whole training step to a graph. */
export function addStep(build: GraphBuilder, description: StepDescription, inputs: StepInputs): StepOutputs {
  const { model, plan, state } = description;
  const carried = new Map(state.map(({ key }, index) => [key, inputs.state[index] as Value]));
  const values = new Map(
    state.map(({ key, kind, shape }) => [key, kind === 'slot' ? undefined : inShape(build, carried.get(key) as Value, shape)]),
  );
  const valueOf = (key: string): Value => values.get(key) as Value;
  const regions: CustomGradient[] = [];
  const draws = new NoiseDraws(build, (kind) => inputs.noise(kind), description.longestDraw);
  const step: MethodStep = {
    build,
    variable: (name) => valueOf(variableKey(name)),
    noise: (key, shape, kind) => draws.take(key, shape, kind),
    step: inputs.scalar('step'),
    steps: description.steps,
    custom: (region) => regions.push(region),
  };

  const passes: Record<string, ForwardPass> = {};
  const forwards: MethodForward[] = [];
  for (const pass of plan.passes ?? ['student']) {
    const forward = plan.forward(step, (name) => valueOf(parameterKey(name)), pass);
    const used = (name: string): Value => forward.weights[name] ?? values.get(parameterKey(name)) ?? valueOf(bufferKey(name));
    passes[pass] = model.forward(build, inputs.data, used, true);
    forwards.push(forward);
  }
  const task = ({ outputs }: ForwardPass): Value => {
    const loss = description.loss(build, outputs, inputs.data);
    regions.push(loss.region);
    return loss.value;
  };
  const first = passes[(plan.passes ?? ['student'])[0] as string] as ForwardPass;
  const loss = plan.combine ? plan.combine(step, passes, task) : task(first);
  const target = withPenalty(build, loss, forwards, inputs);

  const trained = trainedTensors(description, carried, valueOf, inputs);
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

  const next = new Map(carried);
  for (const [tensor, { value, slots }] of updated) {
    next.set(tensor.state.key, value);
    for (const [slot, slotValue] of Object.entries(slots)) next.set(`${slot}/${tensor.state.key}`, slotValue);
  }
  for (const [name, value] of Object.entries(first.buffers)) next.set(bufferKey(name), value);
  for (const { carry = {} } of forwards) for (const [name, value] of Object.entries(carry)) next.set(variableKey(name), value);
  const metrics = new Map<string, Value>([['loss', loss]]);
  for (const forward of forwards) for (const [name, value] of Object.entries(forward.metrics ?? {})) metrics.set(name, value);
  return {
    state: state.map((tensor) => inShape(build, next.get(tensor.key) as Value, description.updates.carriedShape(tensor))),
    metrics,
    noise: draws.demand(),
  };
}

/** loss + penalty * size in MiB. The penalty comes from the method where it steers one, else from the job. */
function withPenalty(build: GraphBuilder, loss: Value, forwards: readonly MethodForward[], inputs: StepInputs): Value {
  const costed = forwards.find(({ size }) => size !== undefined);
  if (costed?.size === undefined) return loss;
  const penalty = costed.penalty ?? inputs.scalar('penalty');
  return build.op('Add', [loss, build.op('Mul', [costed.size, penalty])], {}, { name: 'loss/penalized' });
}

function trainedTensors(
  { state, groups }: StepDescription,
  carried: ReadonlyMap<string, Value>,
  valueOf: (key: string) => Value,
  inputs: StepInputs,
): readonly TrainedTensor[] {
  return state.flatMap((tensor): readonly TrainedTensor[] => {
    const { key, kind, group } = tensor;
    if (group === undefined || kind === 'slot') return [];
    const { optimizer } = groups[group];
    return [
      {
        state: tensor,
        value: valueOf(key),
        carried: carried.get(key) as Value,
        slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, carried.get(`${slot}/${key}`) as Value])),
        optimizer,
        scalars: Object.fromEntries(optimizer.scalarNames.map((name) => [name, inputs.scalar(`${group}/${name}`)])),
      },
    ];
  });
}

function inShape(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const now = staticShape(value);
  return now.length === shape.length && now.every((length, axis) => length === shape[axis]) ? value : reshaped(build, value, shape);
}
