import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int } from '../../../../src/engine/graph/builder';
import type { Value } from '../../../../src/engine/graph/graph';
import { operators } from '../../../../src/engine/ops/index';
import { openTrainable } from '../../../../src/engine/train/models/openTrainable';
import type { StateValues } from '../../../../src/engine/train/state';
import { multiplyThenAdd } from '../../../../src/engine/train/optimizers/optimizer';
import { blockRows } from '../../../../src/engine/train/updates/blockRows';
import { chooseUpdates } from '../../../../src/engine/train/updates/chooseUpdates';
import { rowBlockUpdates } from '../../../../src/engine/train/updates/rowBlocks';
import type { UpdatePlanner } from '../../../../src/engine/train/updates/updatePlanner';
import { wholeTensorUpdates } from '../../../../src/engine/train/updates/wholeTensor';
import { stepRunnerFor, type FixedBatchTraining } from '../../../support/stepRunnerFor';
import { openRuntime, temporaryFolder } from '../../../support/fixtures';

/** 1024 to 1024 to 8 numbers: the first weight is cut into blocks. */
const [inputs, hidden, outputs, samples] = [1024, 1024, 8, 4];

const runtime = await openRuntime();
const folder = temporaryFolder();
let fused: UpdatePlanner;
beforeAll(async () => {
  fused = await chooseUpdates(runtime);
  for (const shared of [false, true]) writeFileSync(join(folder, `${shared}.onnx`), encodeModel(net(shared)));
});

/** `shared`: the large weight is used twice. */
function net(shared: boolean): ReturnType<GraphBuilder['finish']> {
  const random = new SeededRandom(3);
  const build = new GraphBuilder(operators, 'net', 17);
  const weight = (name: string, shape: readonly number[], reach: number): Value => {
    const values = Float32Array.from(
      { length: shape.reduce((product, length) => product * length, 1) },
      () => (random.next() * 2 - 1) * reach,
    );
    // Two equal largest entries: they share the range's gradient.
    if (name === 'fc0.weight') values[7 * inputs + 5] = values[900 * inputs + 77] = reach;
    return build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, name);
  };
  const first = weight('fc0.weight', [hidden, inputs], 1 / 32);
  let value = build.input('x', { dtype: 'float32', shape: ['batch', inputs] });
  for (let use = 0; use < (shared ? 2 : 1); use += 1)
    value = build.op('Relu', [build.op('Gemm', [value, first, weight(`fc0.bias${use}`, [hidden], 0.1)], { transB: int(1) })]);
  build.output(build.op('Gemm', [value, weight('fc1.weight', [outputs, hidden], 1 / 32)], { transB: int(1) }), 'y');
  return build.finish();
}

const normal = (seed: number, count: number): Float32Array => {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => random.nextNormal());
};

type Changes = Partial<FixedBatchTraining> & { readonly shared?: boolean };

async function trained(updates: UpdatePlanner, { shared = false, ...changes }: Changes, perRun = 20, steps = 20) {
  const model = await openTrainable(join(folder, `${shared}.onnx`));
  const { runner, state: first } = await stepRunnerFor({
    model,
    method: 'float',
    parameters: {},
    batch: {
      x: { dtype: 'float32', shape: [samples, inputs], data: normal(1, samples * inputs) },
      label: { dtype: 'float32', shape: [samples, outputs], data: normal(2, samples * outputs) },
    },
    loss: 'mse',
    updates,
    runtime,
    rate: 1e-3,
    logitRate: 1e-2,
    penalty: 0.1,
    ...changes,
  });
  let state: StateValues = first;
  const losses: number[] = [];
  for (let step = 0; step < steps; step += perRun) {
    const run = await runner.run(state, step, Math.min(perRun, steps - step));
    state = run.state;
    losses.push(...(run.metrics['loss'] as Float32Array));
  }
  await runner.release();
  await model.close();
  return { state, losses };
}

/** Largest difference, as a share of the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  let [difference, largest] = [0, 1e-30];
  a.forEach((value, index) => {
    difference = Math.max(difference, Math.abs(value - (b[index] as number)));
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}

async function expectEqual(changes: Changes, tolerance = 1e-5): Promise<void> {
  const whole = await trained(wholeTensorUpdates, changes);
  for (const planner of [fused, rowBlockUpdates(multiplyThenAdd)]) {
    const blocks = await trained(planner, changes);
    expect(distance(Float32Array.from(whole.losses), Float32Array.from(blocks.losses))).toBeLessThan(tolerance);
    const weight = (result: typeof whole): Float32Array => result.state.get('parameter/fc0.weight') as Float32Array;
    // Adam's first steps move by the sign of a gradient: where that is almost 0, rounding decides.
    expect(distance(weight(whole), weight(blocks))).toBeLessThan(tolerance * 100);
  }
  expect(whole.losses.at(-1)).toBeLessThan(whole.losses[0] as number);
}

const diffq = (clipRange: number): Changes => ({ method: 'diffq', parameters: { groupSize: 8, clipRange, settle: 0 } });

describe('updates in blocks of rows match those of whole tensors', () => {
  test.each<[string, Changes]>([
    ['Adam', {}],
    ['Adam with decay', { optimizer: 'adamw', weightDecay: 0.1 }],
    ['momentum', { optimizer: 'sgd', momentum: 0.9, rate: 0.01 }],
    ['DiffQ with learned range', diffq(0)],
    ['DiffQ with clipped range', diffq(3)],
    ['DiffQ in groups that blocks cut', { method: 'diffq', parameters: { groupSize: 512, clipRange: 0, settle: 0 } }],
    ['clipped gradients', { clip: 0.1 }],
    ['a weight that is used twice', { shared: true }],
  ])('%s', (_name, changes) => expectEqual(changes), 60_000);

  test('the length of a run changes no bit', async () => {
    const one = await trained(fused, diffq(0), 1, 6);
    const all = await trained(fused, diffq(0), 6, 6);
    expect(all.losses).toEqual(one.losses);
    for (const [key, values] of one.state)
      expect(Buffer.from((all.state.get(key) as Float32Array).buffer).equals(Buffer.from(values.buffer)), key).toBe(true);
  }, 60_000);

  test('rows of blocks', () => {
    expect(blockRows([4096, 4096])).toBe(64);
    expect(blockRows([1024, 4096])).toBe(64);
    expect(blockRows([4096, 1024])).toBe(256);
    expect(blockRows([3000, 1000])).toBe(250);
    expect(blockRows([1021, 4096])).toBeUndefined();
    expect(blockRows([512, 512])).toBeUndefined();
    expect(blockRows([1024, 1024, 3, 3])).toBeUndefined();
  });
});
