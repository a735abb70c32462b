import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { Runtime, RuntimeTensor, Session, SessionOptions } from '../runtime/types';
import type { BatchSource } from './batches';
import { NoisePool } from './noisePool';
import type { OptimizerGroups } from './optimizers/groups';
import { scalarNames } from './stepBody';
import { stepNames, type StepGraph } from './stepGraph';
import type { StateValues } from './state';

/** Largest size of the batches of one run, in bytes. */
const batchBytesPerRun = 64 * 2 ** 20;

/** What steps take from the host. */
export interface StepFeeds {
  readonly data: BatchSource;
  readonly batch: number;
  readonly groups: OptimizerGroups;
  /** Numbers of the objective's own at a step. */
  scalars(step: number): Readonly<Record<string, number>>;
  /** By name. */
  readonly frozen: StateValues;
  readonly seed: number;
}

/** What a run of some steps gives. */
export interface StepsRun {
  readonly state: StateValues;
  /** By metric, one value for each step. */
  readonly metrics: Readonly<Record<string, Float32Array>>;
}

/** Runs training steps: gathers what they need by step number, feeds the state, and takes the new state. */
export class StepRunner {
  private readonly noise: NoisePool;

  private constructor(
    private readonly session: Session,
    private readonly graph: StepGraph,
    private readonly feeds: StepFeeds,
    onDevice: boolean,
  ) {
    this.noise = new NoisePool(graph.noise, feeds.seed, onDevice);
  }

  static async create(
    runtime: Runtime,
    graph: StepGraph,
    feeds: StepFeeds,
    options: Pick<SessionOptions, 'profile'> = {},
  ): Promise<StepRunner> {
    const session = await runtime.createFromGraph(graph.graph, { ...options, planMemory: false, keep: false });
    return new StepRunner(session, graph, feeds, runtime.environment.provider !== 'cpu');
  }

  /** Most steps in one run from `step` on: up to the next refill of the noise, within the limit on data; 1 without a Loop. */
  longestRun(step: number): number {
    if (this.graph.mode === 'steps') return 1;
    const batchBytes = this.graph.data.reduce((sum, { dtype, shape }) => sum + elementCount(shape) * (dtype === 'int64' ? 8 : 4), 0);
    return Math.min(this.noise.nextRefill(step) - step, Math.max(1, Math.floor(batchBytesPerRun / Math.max(1, batchBytes))));
  }

  /**
   * Runs `count` steps from `step` on. `overwrite`: the given state is not needed afterwards, so its arrays take the new one, except those that share memory with one of
   * `kept`. A Loop copies its results out once, after its last step has read everything, so it may write them over its inputs; a graph of one step writes each result
   * while others still read, and gets new arrays. When a run fails, an overwritten state is lost.
   */
  async run(
    state: StateValues,
    step: number,
    count: number,
    { overwrite }: { readonly overwrite?: { readonly kept?: Iterable<Float32Array> } } = {},
  ): Promise<StepsRun> {
    const inputs: Record<string, RuntimeTensor> = {
      ...this.batches(step, count),
      ...this.scalars(step, count),
      ...this.noise.feeds(step, count),
    };
    for (const { name, shape } of this.graph.frozen)
      inputs[stepNames.frozen(name)] = { dtype: 'float32', shape, data: this.feeds.frozen.get(name) as Float32Array };
    if (this.graph.mode === 'loop') inputs[stepNames.trips] = { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(count)) };
    for (const { key, carriedShape } of this.graph.state)
      inputs[stepNames.state(key)] = { dtype: 'float32', shape: carriedShape, data: state.get(key) as Float32Array };
    // Unused inputs of the graph are not inputs of the session.
    const wanted = Object.fromEntries(this.session.inputNames.map((name) => [name, required(inputs, name)]));
    const into = overwrite && this.graph.mode === 'loop' ? this.targets(state, overwrite.kept ?? []) : {};
    const results = await this.session.run(wanted, undefined, into);
    const next = new Map(this.graph.state.map(({ key }) => [key, required(results, stepNames.next(key)).data as Float32Array]));
    const metrics = Object.fromEntries(
      this.graph.metrics.map((name) => [name, required(results, stepNames.metric(name)).data as Float32Array]),
    );
    return { state: next, metrics };
  }

  release(): Promise<void> {
    return this.session.release();
  }

  /** The arrays of a state by the outputs that may be written into them: each buffer takes one. */
  private targets(state: StateValues, kept: Iterable<Float32Array>): Readonly<Record<string, RuntimeTensor>> {
    const taken = new Set<ArrayBufferLike>();
    for (const { buffer } of kept) taken.add(buffer);
    const targets: Record<string, RuntimeTensor> = {};
    for (const { key, carriedShape } of this.graph.state) {
      const data = state.get(key) as Float32Array;
      if (taken.has(data.buffer)) continue;
      taken.add(data.buffer);
      targets[stepNames.next(key)] = { dtype: 'float32', shape: carriedShape, data };
    }
    return targets;
  }

  /** Batches of all steps of a run, one after another: [count, batch, ...]. */
  private batches(step: number, count: number): Readonly<Record<string, RuntimeTensor>> {
    const { data, batch } = this.feeds;
    const feeds: Record<string, RuntimeTensor> = {};
    for (let index = 0; index < count; index += 1) {
      const one = data.batch(step + index, batch);
      for (const { name, dtype, shape } of this.graph.data) {
        const tensor = required(one, name);
        const width = elementCount(shape);
        const Make = tensor.data.constructor as new (length: number) => RuntimeTensor['data'];
        const all = (feeds[stepNames.data(name)] ??= { dtype, shape: [count, ...shape], data: new Make(count * width) });
        // Both arrays are of one type; TypeScript cannot pair them.
        (all.data as Float32Array).set(tensor.data as Float32Array, index * width);
      }
    }
    return feeds;
  }

  private scalars(step: number, count: number): Readonly<Record<string, RuntimeTensor>> {
    const names = this.graph.scalarNames;
    const values = new Map(names.map((name) => [name, new Float32Array(count)]));
    for (let index = 0; index < count; index += 1) {
      const now = this.scalarsOf(step + index);
      for (const [name, array] of values) array[index] = required(now, name);
    }
    return Object.fromEntries([...values].map(([name, data]) => [stepNames.scalar(name), { dtype: 'float32', shape: [count], data }]));
  }

  private scalarsOf(step: number): Readonly<Record<string, number>> {
    const { groups } = this.feeds;
    const scalars: Record<string, number> = { [scalarNames.step]: step };
    for (const [group, { optimizer, rate }] of Object.entries(groups))
      for (const [name, value] of Object.entries(optimizer.scalars(step, rate(step)))) scalars[scalarNames.group(group, name)] = value;
    for (const [name, value] of Object.entries(this.feeds.scalars(step))) scalars[scalarNames.objective(name)] = value;
    return scalars;
  }
}

function required<T>(values: Readonly<Record<string, T>>, name: string): T {
  const value = values[name];
  if (value !== undefined) return value;
  throw new LoomweightError('internal', `A training step requires '${name}', which is not provided.`, { name });
}
