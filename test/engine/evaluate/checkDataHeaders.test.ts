import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { estimateLearn } from '../../../src/engine/compress/learned/estimateLearn';
import { estimateEvaluate } from '../../../src/engine/evaluate/estimateEvaluate';
import { completeLearnSpec } from '../../../src/protocol/learnDefaults';
import { encodeNpy } from '../../support/encodeNpy';
import { projectRoot } from '../../support/sourceTree';

const model = join(projectRoot, 'media/samples/digits/digits-mlp.onnx');
const digits = join(projectRoot, 'media/samples/digits/data');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-headers-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const context = { provider: 'cpu', memoryLimit: undefined };
const evaluate = (data: string, split = 'test') => estimateEvaluate({ kind: 'evaluate', model, data, split }, context);
const learn = (data: string) => estimateLearn(completeLearnSpec({ model, data, out: join(folder, 'out') }, true));

/** A data set whose files hold their headers only: nothing of them but that is read. */
function data(name: string, shape: readonly number[], labels: readonly number[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const split of ['train', 'test']) {
    writeFileSync(join(path, `${split}-input.npy`), encodeNpy('float32', shape, new Uint8Array(4 * shape.reduce((a, b) => a * b, 1))));
    writeFileSync(join(path, `${split}-label.npy`), encodeNpy('int64', labels, new Uint8Array(8 * labels.reduce((a, b) => a * b, 1))));
  }
  return path;
}

test('a forecast accepts data that fits', async () => {
  expect((await evaluate(digits)).hostMemoryBytes).toBeGreaterThan(0);
  expect((await learn(digits)).hostMemoryBytes).toBeGreaterThan(0);
});

test('a forecast refuses data of another shape, with both shapes', async () => {
  const wrong = data('wrong', [4, 3], [4]);
  for (const refused of [evaluate(wrong), learn(wrong)]) {
    await expect(refused).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(refused).rejects.toThrow(/64.*\[4, 3\]/);
  }
});

test('a forecast names what is missing', async () => {
  await expect(evaluate(join(folder, 'absent'))).rejects.toMatchObject({ code: 'not-found' });
  await expect(evaluate(digits, 'validation')).rejects.toThrow(/validation-label\.npy.*contains.*test-input\.npy/);
  const half = join(folder, 'half');
  mkdirSync(half);
  copyFileSync(join(digits, 'train-label.npy'), join(half, 'train-label.npy'));
  await expect(learn(half)).rejects.toThrow(/train-input\.npy/);
});

test('a forecast refuses as many labels as there are no samples for', async () => {
  await expect(evaluate(data('fewer', [4, 64], [3]))).rejects.toThrow(/4 samples.*3/);
});
