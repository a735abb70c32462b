import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { estimateLearn } from '../../../../src/engine/compress/learned/estimateLearn';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import { operators } from '../../../../src/engine/ops/index';
import type { LearnSpec } from '../../../../src/protocol/jobs';
import { completeLearnSpec } from '../../../../src/protocol/learnDefaults';
import { encodeNpy } from '../../../support/encodeNpy';
import { test } from '../../../support/fixtures';

const sample = (name: string) => fileURLToPath(new URL(`../../../../media/samples/digits/${name}`, import.meta.url));

function specOf(more: Partial<LearnSpec> = {}): LearnSpec {
  const given = { model: sample('digits-mlp.onnx'), data: sample('data'), out: 'unused', steps: 300, ...more };
  return completeLearnSpec(given, (more.method ?? 'diffq') === 'diffq');
}

const memory = async (more: Partial<LearnSpec>): Promise<number> => (await estimateLearn(specOf(more))).hostMemoryBytes;

test('the data is counted, and the time is said to be an allowance', async () => {
  const { hostMemoryBytes, notes } = await estimateLearn(specOf());
  expect(hostMemoryBytes).toBeGreaterThan(130e6 + 2 * 460_000);
  expect(notes.join(' ')).toMatch(/allowance/);
});

test('memory follows the optimiser and the method', async () => {
  const copy = 4 * 26_122;
  const adam = await memory({ method: 'float' });
  expect(adam - (await memory({ method: 'float', optimizer: 'sgd' }))).toBe(10 * copy);
  expect(adam - (await memory({ method: 'float', optimizer: 'sgd', momentum: 0.9 }))).toBe(5 * copy);
  expect((await memory({ method: 'lsq' })) - adam).toBe(9 * copy);
});

test('a large state is forecast to be overwritten: 12 copies of the weights with Adam and the best state, not 15', async ({ folder }) => {
  const samples = 3;
  const forMatrix = (rows: number): Promise<number> => {
    const build = new GraphBuilder(operators, 'one_matrix', 17);
    const shape = [rows, 1000];
    const weight = build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(4000 * rows) }, 'weight');
    build.output(build.op('MatMul', [build.input('x', { dtype: 'float32', shape: ['batch', rows] }), weight]), 'y');
    const model = join(folder, `${rows}.onnx`);
    writeFileSync(model, encodeModel(build.finish()));
    const data = join(folder, `data-${rows}`);
    mkdirSync(data);
    writeFileSync(join(data, 'train-x.npy'), encodeNpy('float32', [samples, rows], new Uint8Array(4 * samples * rows)));
    writeFileSync(join(data, 'train-label.npy'), encodeNpy('int64', [samples], new Uint8Array(8 * samples)));
    return memory({ method: 'float', model, data });
  };
  // The data is counted twice.
  expect((await forMatrix(12_000)) - (await forMatrix(4_000))).toBe(4000 * (13 * 12_000 - 16 * 4_000) + 2 * 4 * samples * 8_000);
});

test('a method is forecast with what it holds itself: QAT as plain training, Quant-Noise less than LSQ', async () => {
  const copy = 4 * 26_122;
  const float = await memory({ method: 'float' });
  expect(await memory({ method: 'qat' })).toBe(float);
  expect((await memory({ method: 'quant-noise' })) - float).toBe(2 * copy);
  expect((await memory({ method: 'lsq' })) - (await memory({ method: 'pqk' }))).toBe(2 * copy);
});

test('the disk holds two checkpoints at a time', async () => {
  const disk = async (more: Partial<LearnSpec>) =>
    (await estimateLearn(specOf({ method: 'float', formats: ['archive'], ...more }))).diskBytes;
  const copy = 4 * 26_122;
  // Weights, two slots of Adam and the best state, twice; weights and the best state, twice.
  expect((await disk({})) - (await disk({ optimizer: 'sgd' }))).toBe(4 * copy);
  expect((await disk({ optimizer: 'sgd' })) - 25e6).toBe((1 + 4) * copy);
});
