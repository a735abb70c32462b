/**
 * Training steps of small networks with convolutions, with the batch as last axis and as the graph has it, in turns: what the rule of
 * `src/engine/train/batchLast/paysOff.ts` is based on. Prints milliseconds a step (least of the rounds) and their ratio; above 1 the batch as last axis is faster.
 * Usage: npm run bench convolutions -- [--nets 'NAME,...'] [--steps 5] [--rounds 2] [--threads 2] [--profile stored|last]
 * Nets: those named below, or BATCH:CHANNELS:MAPS:SIZE:KERNEL:STRIDE:GROUPS for a convolution between two normalised activations, or a path of an ONNX file
 * (--batch 64 for files). With `:first` behind it, nothing that is trained comes before the convolution.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../../src/common/random';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int, ints } from '../../src/engine/graph/builder';
import type { Graph, Value } from '../../src/engine/graph/graph';
import { operators } from '../../src/engine/ops/index';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { openTrainable } from '../../src/engine/train/models/openTrainable';
import { releaseArrays } from '../../src/engine/runtime/releaseArrays';
import { chooseUpdates } from '../../src/engine/train/updates/chooseUpdates';
import { stepRunnerFor } from '../support/stepRunnerFor';
import { printProfile } from './support/printProfile';

const { values: given } = parseArgs({
  options: {
    nets: { type: 'string' },
    steps: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '2' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
    profile: { type: 'string' },
  },
});
const [steps, rounds, fileBatch] = [Number(given.steps), Number(given.rounds), Number(given.batch)];
const random = new SeededRandom(1);

/** Layers of a network behind its input. */
interface Net {
  readonly batch: number;
  readonly input: readonly number[];
  add(layers: Layers, x: Value): Value;
}

/** Adds layers with their own weights. */
class Layers {
  private count = 0;
  constructor(readonly build: GraphBuilder) {}

  weight(shape: readonly number[], reach: number): Value {
    const values = Float32Array.from(
      { length: shape.reduce((product, length) => product * length, 1) },
      () => (random.next() * 2 - 1) * reach,
    );
    this.count += 1;
    return this.build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, `weight${this.count}`);
  }

  conv(x: Value, maps: number, kernel: number, stride = 1, group = 1): Value {
    const channels = (x.type.shape as readonly number[])[1] as number;
    const before = Math.floor((kernel - 1) / 2);
    const w = this.weight([maps, channels / group, kernel, kernel], 1 / Math.sqrt((channels / group) * kernel * kernel));
    return this.build.op('Conv', [x, w], {
      strides: ints([stride, stride]),
      pads: ints([before, before, before, before]),
      group: int(group),
    });
  }

  norm(x: Value): Value {
    const channels = (x.type.shape as readonly number[])[1] as number;
    const filled = (value: number): Value => {
      this.count += 1;
      const bytes = new Uint8Array(new Float32Array(channels).fill(value).buffer);
      return this.build.constant({ kind: 'inline', dtype: 'float32', shape: [channels], bytes }, `norm${this.count}`);
    };
    return this.build.op('Relu', [this.build.op('BatchNormalization', [x, filled(1), filled(0), filled(0), filled(1)])]);
  }

  pool(x: Value, size: number): Value {
    return this.build.op('MaxPool', [x], { kernel_shape: ints([size, size]), strides: ints([size, size]) });
  }
}

const nets: Readonly<Record<string, Net>> = {
  bench: {
    batch: 64,
    input: [3, 32, 32],
    add: (l, x) => [32, 64, 128, 128].reduce((h, maps, at) => l.norm(l.conv(h, maps, 3, at === 1 || at === 2 ? 2 : 1)), x),
  },
  lenet: { batch: 64, input: [1, 28, 28], add: (l, x) => l.pool(l.norm(l.conv(l.pool(l.norm(l.conv(x, 16, 5)), 2), 32, 5)), 2) },
  residual: {
    batch: 32,
    input: [3, 32, 32],
    add: (l, x) =>
      [16, 32, 64].reduce(
        (h, maps, at) => {
          const inner = l.norm(l.conv(h, maps, 3, at === 0 ? 1 : 2));
          const outer = l.conv(inner, maps, 3);
          return l.norm(l.build.op('Add', [outer, l.conv(h, maps, 1, at === 0 ? 1 : 2)]));
        },
        l.norm(l.conv(x, 16, 3)),
      ),
  },
  bottleneck: {
    batch: 32,
    input: [64, 16, 16],
    add: (l, x) =>
      [1, 2, 3].reduce((h) => l.build.op('Add', [h, l.norm(l.conv(l.norm(l.conv(l.norm(l.conv(h, 32, 1)), 32, 3)), 64, 1))]), x),
  },
  separable: {
    batch: 32,
    input: [3, 32, 32],
    add: (l, x) =>
      [64, 128, 128].reduce(
        (h, maps, at) => {
          const channels = (h.type.shape as readonly number[])[1] as number;
          return l.norm(l.conv(l.norm(l.conv(h, channels, 3, at === 1 ? 2 : 1, channels)), maps, 1));
        },
        l.norm(l.conv(x, 32, 3, 2)),
      ),
  },
};

function spelled(name: string): Net {
  const isFirst = name.endsWith(':first');
  const [batch, channels, maps, size, kernel, stride, groups] = name.split(':').slice(0, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    batch,
    input: [channels, size, size],
    add: (l, x) => l.norm(l.conv(isFirst ? x : l.norm(x), maps, kernel, stride, groups)),
  };
}

function graphOf({ batch, input, add }: Net): Graph {
  const build = new GraphBuilder(operators, 'net', 17);
  const layers = new Layers(build);
  const maps = add(layers, build.input('x', { dtype: 'float32', shape: [batch, ...input] }));
  const pooled = build.op('Flatten', [build.op('GlobalAveragePool', [maps])]);
  const width = (maps.type.shape as readonly number[])[1] as number;
  build.output(build.op('Gemm', [pooled, layers.weight([width, 10], 1 / Math.sqrt(width)), layers.weight([10], 0.1)]), 'y');
  return build.finish();
}

const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-convolutions-'));
const runtime = await createRuntime({ provider: 'cpu', threads: Number(given.threads) });
try {
  for (const name of given.nets?.split(',') ?? Object.keys(nets)) console.log(await measure(name));
} finally {
  await runtime.dispose();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(name: string): Promise<string> {
  const isFile = name.endsWith('.onnx');
  const [stem = '', batchOf] = name.split('@');
  const found = isFile ? undefined : (nets[stem] ?? spelled(stem));
  const net = found && batchOf !== undefined ? { ...found, batch: Number(batchOf) } : found;
  const file = isFile ? name : path.join(folder, 'net.onnx');
  if (net) writeFileSync(file, encodeModel(graphOf(net)));
  const model = await openTrainable(file);
  const batch = net?.batch ?? fileBatch;
  const [input] = model.inputs(batch);
  const shape = input?.shape ?? [];
  const x = Float32Array.from({ length: shape.reduce((product, length) => product * length, 1) }, () => random.nextNormal());
  const label = BigInt64Array.from({ length: batch }, () => BigInt(random.nextBelow(10)));
  const least = [Infinity, Infinity];
  for (let round = 0; round < rounds; round += 1)
    for (const [at, batchLast] of [false, true].entries()) {
      const profiled = given.profile === (batchLast ? 'last' : 'stored');
      if (given.profile !== undefined && !profiled) continue;
      // A session at a time: idle threads of another one would take time from it.
      const { runner, state } = await stepRunnerFor({
        model,
        method: 'float',
        parameters: {},
        batch: { [input?.name ?? 'x']: { dtype: 'float32', shape, data: x }, label: { dtype: 'int64', shape: [batch], data: label } },
        loss: 'cross-entropy',
        updates: await chooseUpdates(runtime),
        runtime,
        batchLast,
        ...(profiled ? { options: { profile: path.join(folder, 'profile') } } : {}),
      });
      let now = state;
      for (let run = 0; run < 4; run += 1) {
        const count = run === 0 ? 1 : steps;
        const began = performance.now();
        const result = await runner.run(now, run === 0 ? 0 : 1 + (run - 1) * steps, count);
        if (run > 0) least[at] = Math.min(least[at] as number, (performance.now() - began) / count);
        releaseArrays(now.values(), result.state.values());
        now = result.state;
      }
      await runner.release();
      if (profiled) printProfile(folder, 1 + 3 * steps);
    }
  await model.close();
  const [stored, last] = least as [number, number];
  return `${name.padEnd(28)} as the graph has it ${stored.toFixed(2).padStart(8)} ms   batch last ${last.toFixed(2).padStart(8)} ms   ratio ${(stored / last).toFixed(2)}`;
}
