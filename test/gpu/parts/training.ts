import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SeededRandom } from '../../../src/common/random';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Graph } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import type { Runtime, RuntimeTensor } from '../../../src/engine/runtime/types';
import { openTrainable } from '../../../src/engine/train/models/openTrainable';
import { releaseArrays } from '../../../src/engine/runtime/releaseArrays';
import { chooseUpdates } from '../../../src/engine/train/updates/chooseUpdates';
import { stepRunnerFor } from '../../support/stepRunnerFor';
import type { PartRequest, PartEnd } from '../document';
import { relativeError } from '../compare';
import { measureLimits } from '../limits';
import { runtimeFor, sharesIn } from '../runtimeFor';

/** Widths of the network; peer.py has the same. */
const widths = { full: [1024, 4096, 4096, 1024], short: [64, 128, 128, 64] } as const;
const batchSize = 64;
/** Losses of the first steps on two providers: sums in another order, grown by three steps of Adam. */
const lossTolerance = 1e-3;
const comparedSteps = 3;

interface Trial {
  readonly losses: Float32Array;
  readonly stepsPerSecond: number;
  readonly stepsPerRun: number;
  readonly stateBytes: number;
}

/** Steps per second of the product's trainer, plain and DiffQ as published, with the first losses against the CPU's. */
export async function runTraining(request: PartRequest): Promise<PartEnd> {
  const file = path.join(request.scratch, 'perceptron.onnx');
  const sizes = request.short ? widths.short : widths.full;
  writeFileSync(file, encodeModel(perceptron(sizes)));
  const methods: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const method of ['float', 'diffq'] as const) {
    // On a card the state crosses with every run: runs are as long as the trainer makes them.
    const [count, repeats] = request.short ? [10, 1] : request.provider === 'cpu' ? [10, 3] : [150, 4];
    const cpu = await withRuntime('cpu', request, (runtime) =>
      train(runtime, { file, method, first: comparedSteps, count: 0, repeats: 0 }),
    );
    const own = await withRuntime(request.provider, request, (runtime) =>
      train(runtime, { file, method, first: comparedSteps, count, repeats }),
    );
    const error = relativeError(own.losses, cpu.losses);
    if (!(error <= lossTolerance))
      problems.push(`${method}: losses ${[...own.losses].join(', ')} instead of ${[...cpu.losses].join(', ')} on the CPU`);
    const folder = path.join(request.scratch, `profile-${method}`);
    mkdirSync(folder);
    await withRuntime(request.provider, request, (runtime) =>
      train(runtime, { file, method, first: comparedSteps, count: 0, repeats: 0, profile: path.join(folder, 'steps') }),
    );
    methods[method] = {
      stepsPerSecond: own.stepsPerSecond,
      stepsPerRun: own.stepsPerRun,
      stateBytes: own.stateBytes,
      losses: [...own.losses],
      lossError: error,
      ...sharesIn(folder, request.provider),
    };
  }
  const parameters = sizes.slice(1).reduce((sum, outputs, layer) => sum + outputs * (sizes[layer] as number), 0);
  return {
    status: problems.length === 0 ? 'agrees' : 'disagrees',
    ...(problems.length === 0 ? {} : { note: `${problems.join('; ')}.` }),
    // What a step cannot do without: three products for each weight and sample, and of plain Adam three values in and three out for each weight.
    operationsPerStep: 6 * parameters * batchSize,
    bytesPerStep: 24 * parameters,
    limits: await withRuntime(request.provider, request, (runtime) => measureLimits(runtime, request.short)),
    widths: sizes,
    batch: batchSize,
    methods,
  };
}

async function withRuntime<T>(provider: PartRequest['provider'], request: PartRequest, work: (runtime: Runtime) => Promise<T>): Promise<T> {
  const runtime = await runtimeFor(provider, provider === 'cpu' ? { trust: false } : request);
  try {
    return await work(runtime);
  } finally {
    await runtime.dispose();
  }
}

interface TrialSettings {
  readonly file: string;
  readonly method: 'float' | 'diffq';
  /** Steps of the first run, whose losses are given. */
  readonly first: number;
  /** Steps of each timed run, after one that warms up. */
  readonly count: number;
  readonly repeats: number;
  readonly profile?: string;
}

async function train(runtime: Runtime, { file, method, first, count, repeats, profile }: TrialSettings): Promise<Trial> {
  const model = await openTrainable(file);
  const started = await stepRunnerFor({
    model,
    method,
    parameters: method === 'float' ? {} : { groupSize: 8, clipRange: 0, settle: 0 },
    batch: fixedBatch(model.inputs(batchSize)[0]?.shape ?? [], model.parameters.at(-1)?.shape[0] ?? 1),
    loss: 'mse',
    updates: await chooseUpdates(runtime),
    runtime,
    penalty: 0.01,
    ...(profile === undefined ? {} : { options: { profile } }),
  });
  const { runner } = started;
  let { state } = started;
  let done = 0;
  const run = async (steps: number): Promise<{ readonly losses: Float32Array; readonly seconds: number }> => {
    const began = performance.now();
    const result = await runner.run(state, done, steps);
    const seconds = (performance.now() - began) / 1000;
    releaseArrays(state.values(), result.state.values());
    state = result.state;
    done += steps;
    return { losses: result.metrics['loss'] as Float32Array, seconds };
  };
  try {
    const { losses } = await run(first);
    const times: number[] = [];
    let stepsPerRun = 0;
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const steps = Math.min(count, runner.longestRun(done));
      times.push((await run(steps)).seconds / steps);
      stepsPerRun = Math.max(stepsPerRun, steps);
    }
    const stateBytes = [...state.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { losses, stepsPerSecond: times.length === 0 ? 0 : 1 / Math.min(...times), stepsPerRun, stateBytes };
  } finally {
    await runner.release();
    await model.close();
  }
}

function fixedBatch(shape: readonly number[], outputs: number): Readonly<Record<string, RuntimeTensor>> {
  const random = new SeededRandom(2);
  const normal = (dimensions: readonly number[]): RuntimeTensor => ({
    dtype: 'float32',
    shape: dimensions,
    data: Float32Array.from({ length: dimensions.reduce((product, length) => product * length, 1) }, () => random.nextNormal()),
  });
  return { x: normal(shape), label: normal([batchSize, outputs]) };
}

/** Layers of Gemm and Relu with weights uniform in plus and minus 1 / sqrt(inputs). */
function perceptron(sizes: readonly number[]): Graph {
  const random = new SeededRandom(1);
  const build = new GraphBuilder(operators, 'perceptron', 17);
  const uniform = (name: string, shape: readonly number[], inputs: number) => {
    const count = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: count }, () => (random.next() * 2 - 1) / Math.sqrt(inputs));
    return build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, name);
  };
  let hidden = build.input('x', { dtype: 'float32', shape: ['batch', sizes[0] as number] });
  sizes.slice(1).forEach((outputs, layer) => {
    const inputs = sizes[layer] as number;
    const weight = uniform(`layer${layer}.weight`, [outputs, inputs], inputs);
    hidden = build.op('Gemm', [hidden, weight, uniform(`layer${layer}.bias`, [outputs], inputs)], { transB: int(1) });
    if (layer < sizes.length - 2) hidden = build.op('Relu', [hidden]);
  });
  build.output(hidden, 'y');
  return build.finish();
}
