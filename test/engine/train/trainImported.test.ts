import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { openTrainable } from '../../../src/engine/train/models/openTrainable';
import { encodeNpy } from '../../support/encodeNpy';
import { digitsSpec, fixture, trainWith } from '../../support/trainDigits';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

const runtime = await openRuntime();
const folder = temporaryFolder();

const samples = 40;

/** Seeded inputs for a model: floats around 0 with a mean that depends on the class, whole numbers below 4. */
async function writeData(model: string, classes: number): Promise<string> {
  const data = mkdtempSync(join(folder, 'data-'));
  const { inputs } = await openTrainable(model);
  const random = new SeededRandom(5);
  const labels = BigInt64Array.from({ length: samples }, () => BigInt(random.nextBelow(classes)));
  for (const { name, dtype, shape } of inputs(samples)) {
    const width = shape.slice(1).reduce((product, length) => product * length, 1);
    const value = (index: number): number => random.nextNormal() + Number(labels[Math.floor(index / width)]) - classes / 2;
    const bytes =
      dtype === 'float32'
        ? new Uint8Array(Float32Array.from({ length: samples * width }, (_, index) => value(index)).buffer)
        : new Uint8Array(BigInt64Array.from({ length: samples * width }, () => BigInt(random.nextBelow(4))).buffer);
    writeFileSync(join(data, `train-${name}.npy`), encodeNpy(dtype, shape, bytes));
  }
  writeFileSync(join(data, 'train-label.npy'), encodeNpy('int64', [samples], new Uint8Array(labels.buffer)));
  return data;
}

describe('networks of both exporters train unchanged', () => {
  const rows = [
    { name: 'vision-dynamo', classes: 5 },
    { name: 'vision-script', classes: 5 },
    { name: 'tabular-dynamo', classes: 4 },
    { name: 'tabular-script', classes: 4 },
    { name: 'din-a', classes: 2 },
  ];
  for (const { name, classes } of rows)
    test(name, async () => {
      const model = fixture(`onnx/${name}.onnx`);
      const spec = digitsSpec({
        model,
        data: await writeData(model, classes),
        steps: 24,
        batch: 12,
        start: 'trained',
        rate: 5e-3,
        evaluateEvery: 24,
      });
      const { curve, evaluations } = await trainWith(spec, runtime);
      const mean = (from: number) => curve.slice(from, from + 4).reduce((sum, { loss }) => sum + loss / 4, 0);
      expect(mean(20)).toBeLessThan(mean(0));
      expect(evaluations).toHaveLength(1);
    });
});

test('statistics of batch normalisation follow the batches and are not parameters', async () => {
  const path = fixture('onnx/vision-script.onnx');
  const model = await openTrainable(path);
  const names = model.buffers.map(({ name }) => name);
  expect(names).toEqual(['norm1.running_mean', 'norm1.running_var', 'norm2.running_mean', 'norm2.running_var']);
  expect(model.parameters.filter(({ name }) => names.includes(name))).toEqual([]);
  const before = await model.buffers[0]?.initial();
  const spec = digitsSpec({
    model: path,
    data: await writeData(path, 5),
    steps: 3,
    batch: 12,
    start: 'trained',
    rate: 0,
    evaluateEvery: 3,
  });
  const { state } = await trainWith(spec, runtime);
  const after = state.parameter('norm1.running_mean');
  expect(after).not.toEqual(before);
  expect(after.every(Number.isFinite)).toBe(true);
  // With a rate of 0 nothing else moves.
  const weight = model.parameters.find(({ role }) => role === 'convolution');
  expect(state.parameter(weight?.name as string)).toEqual(await weight?.initial());
});
