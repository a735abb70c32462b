import { GraphBuilder } from '../graph/builder';
import type { Graph, Value } from '../graph/graph';
import { pruneGraph } from '../graph/passes/prune';
import { operators } from '../ops/index';
import type { BatchInput } from './batches';
import type { NoiseDemand, NoiseKind } from './noiseDraws';
import type { FrozenTensor } from './objective';
import type { StateTensor } from './state';
import { addStep, type StepDescription, type StepInputs } from './stepBody';

/** Names of the step graph's inputs and outputs. Everything that differs from step to step comes as one array for all steps of a run. */
export const stepNames = {
  /** int64 scalar: how many steps to run. Absent in step-by-step mode. */
  trips: 'trips',
  state: (key: string): string => `state/${key}`,
  next: (key: string): string => `next/${key}`,
  /** A frozen tensor, the same for all steps. */
  frozen: (name: string): string => `frozen/${name}`,
  /** [steps, batch, ...]. */
  data: (name: string): string => `data/${name}`,
  /** [steps] float32. */
  scalar: (name: string): string => `scalar/${name}`,
  /** [pool length] float32. */
  pool: (kind: NoiseKind): string => `noise/${kind}`,
  /** [steps, draws] int64. */
  offsets: (kind: NoiseKind): string => `noise/${kind}/offsets`,
  /** [steps] float32. */
  metric: (name: string): string => `metric/${name}`,
};

/** A training step, ready for the runtime, and what must be fed. */
export interface StepGraph {
  readonly graph: Graph;
  readonly mode: 'loop' | 'steps';
  readonly state: readonly (StateTensor & { readonly carriedShape: readonly number[] })[];
  readonly frozen: readonly Pick<FrozenTensor, 'name' | 'shape'>[];
  readonly data: readonly BatchInput[];
  readonly scalarNames: readonly string[];
  readonly noise: ReadonlyMap<NoiseKind, NoiseDemand>;
  /** Outputs of a step: `loss` first, then the method's numbers. */
  readonly metrics: readonly string[];
}

/**
 * Builds one training step (gather this step's batch, forward, loss, backward, updates) and wraps it: into one Loop over as many steps as a run is asked
 * for, the state carried and everything else (frozen tensors too) captured; or, where the provider has no Loop, as a graph of one step. Both take the same inputs (the
 * second with a leading axis of length 1), so that the same numbers go in and the number of steps in a run changes none of them.
 */
export function buildStepGraph(description: StepDescription, mode: StepGraph['mode']): StepGraph {
  const build = new GraphBuilder(operators, mode === 'loop' ? 'training_steps' : 'training_step');
  const trips = mode === 'loop' ? build.input(stepNames.trips, { dtype: 'int64', shape: [] }) : undefined;
  const state = description.state.map((tensor) => ({ ...tensor, carriedShape: description.updates.carriedShape(tensor) }));
  const start = state.map(({ key, carriedShape }) => build.input(stepNames.state(key), { dtype: 'float32', shape: carriedShape }));
  const { frozen } = description.objective;
  const frozenInputs = new Map(frozen.map(({ name, shape }) => [name, build.input(stepNames.frozen(name), { dtype: 'float32', shape })]));
  const perStep = new PerStepInputs(build, description.data, frozenInputs);

  if (trips === undefined) {
    const step = addStep(build, description, perStep.at(build, build.int64(0), start));
    step.state.forEach((value, index) => build.output(value, stepNames.next((state[index] as StateTensor).key)));
    const one = build.int64([1]);
    for (const [name, value] of step.metrics) build.output(build.op('Reshape', [value, one]), stepNames.metric(name));
    return finish(step);
  }

  const body = build.subgraph('step');
  const index = body.input('step/index', { dtype: 'int64', shape: [] });
  const goOn = body.input('step/condition', { dtype: 'bool', shape: [] });
  const carried = state.map(({ key, carriedShape }) => body.input(`carried/${key}`, { dtype: 'float32', shape: carriedShape }));
  const step = addStep(body, description, perStep.at(body, index, carried));
  body.output(body.op('Identity', [goOn]));
  const inner = new Set<Value>();
  for (const value of [...step.state, ...step.metrics.values()]) {
    // A body gives what it makes itself, each value once.
    const passedOn = carried.includes(value) || inner.has(value) || body.constantOf(value) !== undefined;
    inner.add(body.output(passedOn ? body.op('Identity', [value]) : value));
  }
  const metricNames = [...step.metrics.keys()];
  const outputNames = [...state.map(({ key }) => stepNames.next(key)), ...metricNames.map((name) => stepNames.metric(name))];
  const outputs = build.node(
    'Loop',
    [trips, undefined, ...start],
    { body: { kind: 'graph', value: pruneGraph(body.finish()) } },
    { outputNames },
  );
  for (const value of outputs) build.output(value);
  return finish(step);

  function finish(made: ReturnType<typeof addStep>): StepGraph {
    return {
      graph: pruneGraph(build.finish()),
      mode,
      state,
      frozen,
      data: description.data,
      scalarNames: perStep.scalarNames(),
      noise: made.noise,
      metrics: [...made.metrics.keys()],
    };
  }
}

/** Inputs that hold one entry for each step of a run, made when a step first asks for them; `at` picks this step's. */
class PerStepInputs {
  private readonly scalars = new Map<string, Value>();
  private readonly noise = new Map<NoiseKind, { readonly pool: Value; readonly offsets: Value }>();
  private readonly data: ReadonlyMap<string, Value>;

  constructor(
    private readonly build: GraphBuilder,
    data: readonly BatchInput[],
    private readonly frozen: StepInputs['frozen'],
  ) {
    this.data = new Map(
      data.map(({ name, dtype, shape }) => [name, build.input(stepNames.data(name), { dtype, shape: ['steps', ...shape] })]),
    );
  }

  at(step: GraphBuilder, index: Value, state: readonly Value[]): StepInputs {
    const picked = new Map<string, Value>();
    const pick = (input: Value): Value => {
      const known = picked.get(input.name) ?? step.op('Gather', [input, index], { axis: { kind: 'int', value: 0 } });
      picked.set(input.name, known);
      return known;
    };
    return {
      state,
      frozen: this.frozen,
      data: Object.fromEntries([...this.data].map(([name, input]) => [name, pick(input)])),
      scalar: (name) => pick(this.scalarInput(name)),
      noise: (kind) => {
        const { pool, offsets } = this.noiseInputs(kind);
        return { pool, offsets: pick(offsets) };
      },
    };
  }

  scalarNames(): readonly string[] {
    return [...this.scalars.keys()];
  }

  private scalarInput(name: string): Value {
    const input = this.scalars.get(name) ?? this.build.input(stepNames.scalar(name), { dtype: 'float32', shape: ['steps'] });
    this.scalars.set(name, input);
    return input;
  }

  private noiseInputs(kind: NoiseKind): { readonly pool: Value; readonly offsets: Value } {
    const known = this.noise.get(kind);
    if (known) return known;
    const made = {
      pool: this.build.input(stepNames.pool(kind), { dtype: 'float32', shape: [`${kind}_pool`] }),
      offsets: this.build.input(stepNames.offsets(kind), { dtype: 'int64', shape: ['steps', `${kind}_draws`] }),
    };
    this.noise.set(kind, made);
    return made;
  }
}
