/**
 * Training steps per second and memory of the product's own trainer on the nets of published comparisons: an MLP 1024-4096-4096-1024 (squared error), a
 * small conv net (32 x 32, batch normalisation, cross-entropy), or a language model of media/samples. One fixed batch, Adam. Prints one line of JSON.
 * Usage: npm run bench trainingStep -- --net mlp|conv|lm --method float|diffq [--steps 10] [--repeats 3] [--threads 2] [--batch 64] [--group 8]
 *        [--penalty 0.01] [--frozen GLOB] [--model media/samples/loom-base] [--window 256] [--profile]
 * With --profile it also prints milliseconds per step by operator and by node, from ONNX Runtime's own profile.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { globMatcher } from '../../src/common/glob';
import { SeededRandom } from '../../src/common/random';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int, ints } from '../../src/engine/graph/builder';
import type { Graph, Value } from '../../src/engine/graph/graph';
import { operators } from '../../src/engine/ops/index';
import { createRuntime } from '../../src/engine/runtime/runtime';
import type { RuntimeTensor } from '../../src/engine/runtime/types';
import { openTrainable } from '../../src/engine/train/models/openTrainable';
import { chooseUpdates } from '../../src/engine/train/updates/chooseUpdates';
import { stepRunnerFor } from '../support/stepRunnerFor';
import { wholeTensorUpdates } from '../../src/engine/train/updates/wholeTensor';
import { printProfile } from './support/printProfile';

const { values: given } = parseArgs({
  options: {
    net: { type: 'string', default: 'mlp' },
    method: { type: 'string', default: 'float' },
    steps: { type: 'string', default: '10' },
    repeats: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string' },
    group: { type: 'string', default: '8' },
    penalty: { type: 'string', default: '0.01' },
    frozen: { type: 'string', default: '' },
    widths: { type: 'string', default: '1024,4096,4096,1024' },
    model: { type: 'string', default: 'media/samples/loom-base' },
    window: { type: 'string', default: '256' },
    parameters: { type: 'string', default: '{"clipRange":0,"settle":0}' },
    whole: { type: 'boolean', default: false },
    write: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
});
const net = given.net as 'mlp' | 'conv' | 'lm';
const batchSize = Number(given.batch ?? (net === 'lm' ? 8 : 64));
const [steps, repeats] = [Number(given.steps), Number(given.repeats)];
const isFrozen = globMatcher(given.frozen);
const random = new SeededRandom(1);
const normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.nextNormal());
const whole = (count: number, below: number): BigInt64Array => BigInt64Array.from({ length: count }, () => BigInt(random.nextBelow(below)));

const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-step-'));
const runtime = await createRuntime({ provider: 'cpu', threads: Number(given.threads) });
try {
  if (given.write !== undefined) writeFileSync(given.write, encodeModel(net === 'mlp' ? perceptron() : convolutionNet()));
  else {
    console.log(JSON.stringify(await measure()));
    if (given.profile) printProfile(folder, 1 + steps * repeats);
  }
} finally {
  await runtime.dispose();
  rmSync(folder, { recursive: true, force: true });
}

/** Has another process write the network: the memory for making it is no memory of the training. */
function writeNet(file: string): void {
  const { status } = spawnSync(process.execPath, [...process.argv.slice(1), '--write', file], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error('The network was not written.');
}

async function measure(): Promise<Readonly<Record<string, unknown>>> {
  const file = path.join(folder, 'net.onnx');
  if (net !== 'lm') writeNet(file);
  const model = await openTrainable(net === 'lm' ? given.model : file, net === 'lm' ? { window: Number(given.window) } : {});
  const started = await stepRunnerFor({
    model,
    method: given.method,
    parameters:
      given.method === 'float' ? {} : { groupSize: Number(given.group), ...(JSON.parse(given.parameters) as Record<string, number>) },
    batch: fixedBatch(model.inputs(batchSize)[0]?.shape ?? []),
    loss: net === 'mlp' ? 'mse' : 'cross-entropy',
    updates: given.whole ? wholeTensorUpdates : await chooseUpdates(runtime),
    runtime,
    penalty: Number(given.penalty),
    trained: ({ name, used }) => used && !isFrozen(name),
    ...(given.profile ? { options: { profile: path.join(folder, 'profile') } } : {}),
  });
  const { runner } = started;
  let { state } = started;
  const losses: number[] = [];
  const rates: number[] = [];
  let done = 0;
  /** Steps per second of `count` steps, in runs no longer than the product's: none goes beyond a pool of noise. */
  const run = async (count: number): Promise<number> => {
    let seconds = 0;
    for (const end = done + count; done < end;) {
      const now = Math.min(end - done, runner.longestRun(done));
      const began = performance.now();
      const result = await runner.run(state, done, now, { overwrite: {} });
      seconds += (performance.now() - began) / 1000;
      state = result.state;
      losses.push(...(result.metrics['loss'] as Float32Array));
      done += now;
    }
    return count / seconds;
  };
  await run(1);
  const processor = process.cpuUsage();
  for (let repeat = 0; repeat < repeats; repeat += 1) rates.push(await run(steps));
  const used = process.cpuUsage(processor);
  await runner.release();
  await model.close();
  rates.sort((a, b) => b - a);
  return {
    net,
    method: given.method,
    batch: batchSize,
    parameters: model.parameters.reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0),
    threads: Number(given.threads),
    steps_per_second: Number((rates[0] as number).toFixed(3)),
    median: Number((rates[Math.floor(rates.length / 2)] as number).toFixed(3)),
    processor_seconds_per_step: Number(((used.user + used.system) / 1e6 / (steps * repeats)).toFixed(4)),
    peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    first_loss: losses[0],
    last_loss: losses.at(-1),
  };
}

function fixedBatch(shape: readonly number[]): Readonly<Record<string, RuntimeTensor>> {
  const count = shape.reduce((product, length) => product * length, 1);
  if (net === 'lm') {
    const ids = whole(count, 4096);
    return { input_ids: { dtype: 'int64', shape, data: ids }, label: { dtype: 'int64', shape, data: whole(count, 4096) } };
  }
  const x: RuntimeTensor = { dtype: 'float32', shape, data: normal(count) };
  if (net === 'conv') return { x, label: { dtype: 'int64', shape: [batchSize], data: whole(batchSize, 10) } };
  const outputs = Number(given.widths.split(',').at(-1));
  return { x, label: { dtype: 'float32', shape: [batchSize, outputs], data: normal(batchSize * outputs) } };
}

/** Uniform in plus and minus 1 / sqrt(inputs), as PyTorch starts its layers. */
function uniform(build: GraphBuilder, name: string, shape: readonly number[], inputs: number): Value {
  const reach = 1 / Math.sqrt(inputs);
  const values = Float32Array.from(
    { length: shape.reduce((product, length) => product * length, 1) },
    () => (random.next() * 2 - 1) * reach,
  );
  return build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, name);
}

function vector(build: GraphBuilder, name: string, length: number, value: number): Value {
  const values = new Float32Array(length).fill(value);
  return build.constant({ kind: 'inline', dtype: 'float32', shape: [length], bytes: new Uint8Array(values.buffer) }, name);
}

function perceptron(): Graph {
  const build = new GraphBuilder(operators, 'perceptron', 17);
  const widths = given.widths.split(',').map(Number);
  let hidden = build.input('x', { dtype: 'float32', shape: ['batch', widths[0] as number] });
  widths.slice(1).forEach((outputs, layer) => {
    const inputs = widths[layer] as number;
    const weight = uniform(build, `fc${layer}.weight`, [outputs, inputs], inputs);
    const bias = uniform(build, `fc${layer}.bias`, [outputs], inputs);
    hidden = build.op('Gemm', [hidden, weight, bias], { transB: int(1) });
    if (layer < widths.length - 2) hidden = build.op('Relu', [hidden]);
  });
  build.output(hidden, 'y');
  return build.finish();
}

function convolutionNet(): Graph {
  const build = new GraphBuilder(operators, 'convolution_net', 17);
  let hidden = build.input('x', { dtype: 'float32', shape: ['batch', 3, 32, 32] });
  const layers = [
    [3, 32, 1],
    [32, 64, 2],
    [64, 128, 2],
    [128, 128, 1],
  ] as const;
  layers.forEach(([inputs, outputs, stride], layer) => {
    const weight = uniform(build, `conv${layer}.weight`, [outputs, inputs, 3, 3], inputs * 9);
    hidden = build.op('Conv', [hidden, weight], { kernel_shape: ints([3, 3]), strides: ints([stride, stride]), pads: ints([1, 1, 1, 1]) });
    const statistics = [1, 0, 0, 1].map((value, index) =>
      vector(build, `norm${layer}.${['scale', 'bias', 'mean', 'variance'][index]}`, outputs, value),
    );
    hidden = build.op('Relu', [build.op('BatchNormalization', [hidden, ...statistics])]);
  });
  const pooled = build.op('Flatten', [build.op('GlobalAveragePool', [hidden])]);
  build.output(
    build.op('Gemm', [pooled, uniform(build, 'fc.weight', [10, 128], 128), uniform(build, 'fc.bias', [10], 128)], { transB: int(1) }),
    'y',
  );
  return build.finish();
}
