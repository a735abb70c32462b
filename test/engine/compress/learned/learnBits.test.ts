import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkpointFolderOf } from '../../../../src/engine/train/checkpointFolder';
import { learnBits } from '../../../../src/engine/compress/learned/learnBits';
import { evaluateModel } from '../../../../src/engine/evaluate/evaluateModel';
import { openContainer } from '../../../../src/engine/models/openContainer';
import type { LearnSpec } from '../../../../src/protocol/jobs';
import { completeLearnSpec } from '../../../../src/protocol/learnDefaults';
import type { LearnReport } from '../../../../src/protocol/report';
import { encodeNpy } from '../../../support/encodeNpy';
import { modelWithHeadCopy, tiedModel } from '../../../support/headCopy';
import { workContext } from '../../../support/workContext';
import type { Runtime } from '../../../../src/engine/runtime/types';
import { learnText } from '../../../../src/engine/reports/learnReport';
import { openRuntime, temporaryFolder } from '../../../support/fixtures';

const sample = (name: string) => fileURLToPath(new URL(`../../../../media/samples/digits/${name}`, import.meta.url));
const fixture = (name: string) => fileURLToPath(new URL(`../../../fixtures/${name}`, import.meta.url));

const folder = temporaryFolder();
const runtime = await openRuntime();
const twoThreads = await openRuntime(2);

function specOf(name: string, more: Partial<LearnSpec> = {}): LearnSpec {
  const given = { model: sample('digits-mlp.onnx'), data: sample('data'), out: join(folder, name), targetBits: 3, steps: 300, ...more };
  return completeLearnSpec(given, true);
}

function learn(
  spec: LearnSpec,
  more: { readonly signal?: AbortSignal; readonly progress?: (step: number) => void; readonly on?: Runtime } = {},
): Promise<LearnReport> {
  return learnBits(
    spec,
    workContext(more.on ?? runtime, {
      memoryLimit: 8e9,
      seed: spec.seed ?? 0,
      progress: ({ training }) => training && more.progress?.(training.step),
      signal: more.signal,
    }),
  );
}

describe('learning widths of the digits network', () => {
  let report: LearnReport;

  beforeAll(async () => {
    report = await learn(specOf('digits', { formats: ['archive', 'onnx-packed', 'onnx-fast'] }));
  }, 120_000);

  test('meets the target, including side information, and keeps the accuracy', () => {
    expect(report.bitsPerWeight).toBeLessThan(3.2);
    expect(report.layers.map(({ name }) => name)).toEqual(['fc1.weight', 'fc2.weight']);
    const weights = report.layers.reduce((sum, layer) => sum + layer.weights, 0);
    // The published formula over the learned tensors is at the target; file formats add their padding.
    const rest = (26_122 - weights) * 16;
    expect((report.sizes.true * 8 - rest) / weights).toBeLessThanOrEqual(3 + 8 / weights);
    expect(report.quality.before?.value).toBeCloseTo(352 / 360, 5);
    expect(report.quality.after?.value).toBeGreaterThanOrEqual(348 / 360);
    expect(report.verification).toMatchObject({ passed: true, verdict: 'passed', scope: 'whole' });
    expect(report.training).not.toHaveProperty('threads');
  });

  test('groups of one layer have several widths, and the histogram counts every weight', () => {
    for (const { histogram, weights } of report.layers) {
      expect(histogram?.bits.length).toBeGreaterThan(1);
      expect(histogram?.weights.reduce((sum, count) => sum + count, 0)).toBe(weights);
    }
  });

  test('every format opens and evaluates on its own', async () => {
    for (const format of report.formats) {
      const path = join(folder, 'digits', format);
      const container = await openContainer(path);
      await container.close();
      const { value } = await evaluateModel(
        { kind: 'evaluate', model: path, data: sample('data') },
        workContext(runtime, { memoryLimit: 8e9 }),
      );
      expect(value).toBe(report.quality.byFormat?.[format]?.value);
    }
    expect(report.quality.byFormat?.['onnx-packed']?.loss).toBeCloseTo(report.quality.byFormat?.['archive']?.loss as number, 5);
  });

  test("the report in the output folder is the job's report, and no checkpoint is left", async () => {
    expect(JSON.parse(await readFile(join(folder, 'digits', 'report.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
    expect(existsSync(checkpointFolderOf({ out: join(folder, 'digits') }))).toBe(false);
    expect(report.outputs.some(({ path }) => path === report.primary)).toBe(true);
  });
});

test('an interrupted run leaves a checkpoint and no output, and resumes to the same bytes', async () => {
  const through = specOf('through', { formats: ['archive'], steps: 120, evaluateEvery: 20 });
  await learn(through);
  const broken = { ...through, out: join(folder, 'broken') };
  const controller = new AbortController();
  await expect(learn(broken, { signal: controller.signal, progress: (step) => step >= 60 && controller.abort() })).rejects.toMatchObject({
    code: 'cancelled',
  });
  expect(existsSync(broken.out)).toBe(false);
  expect(existsSync(checkpointFolderOf(broken))).toBe(true);
  const resumed = await learn({ ...broken, resume: true });
  expect(resumed.training.resumedFrom).toBeGreaterThan(0);
  expect(await readFile(join(broken.out, 'model.loomq'))).toEqual(await readFile(join(through.out, 'model.loomq')));
  expect((await readdir(folder)).filter((name) => name.startsWith('broken'))).toEqual(['broken']);
});

test('a training that is resumed with other threads says so, in the report of every format too', async () => {
  const spec = specOf('threads', { formats: ['archive', 'onnx-packed'], steps: 60, evaluateEvery: 20 });
  const controller = new AbortController();
  await expect(learn(spec, { signal: controller.signal, progress: (step) => step >= 20 && controller.abort() })).rejects.toMatchObject({
    code: 'cancelled',
  });
  const report = await learn({ ...spec, resume: true }, { on: twoThreads });
  const counts = [1, 2];
  expect(report.training.threads).toEqual(counts);
  expect(report.notes.join('\n')).toContain(`resumed with another number of threads (${counts.join(', then ')})`);
  for (const format of report.formats) {
    const own = JSON.parse(await readFile(join(spec.out, format, 'report.json'), 'utf8')) as LearnReport;
    expect(own.training.threads).toEqual(counts);
    expect(own.notes.join('\n')).toContain('another number of threads');
    expect(own.verification.verdict).toBe('passed');
  }
  expect(learnText(report, { verbose: false })).toContain(`with ${counts.join(', then ')} threads`);
});

test('a language model learns widths; its tied embedding is counted once', async () => {
  const text = fixture('text/eval-play.txt');
  const report = await learn(
    completeLearnSpec(
      {
        model: fixture('models/tiny-llama'),
        data: text,
        out: join(folder, 'tiny'),
        targetBits: 4,
        steps: 20,
        batch: 2,
        window: 16,
        minimumSize: 0,
        formats: ['archive', 'hf'],
        parameters: { groupSize: 16 },
      },
      true,
    ),
  );
  expect(report.verification.passed).toBe(true);
  expect(new Set(report.layers.map(({ name }) => name)).size).toBe(report.layers.length);
  expect(report.training.evaluations.length).toBeGreaterThan(1);
});

test('where the file repeats a tied embedding as its head, what is trained is written once', async () => {
  const learned = async (model: string, name: string): Promise<ReadonlyMap<string, Uint8Array>> => {
    const out = join(folder, name);
    const data = fixture('text/eval-play.txt');
    const settings = {
      targetBits: 4,
      steps: 10,
      batch: 2,
      window: 16,
      minimumSize: 0,
      formats: ['hf'] as const,
      parameters: { groupSize: 16 },
    };
    const report = await learn(completeLearnSpec({ model, data, out, ...settings }, true));
    expect(report.verification.passed).toBe(true);
    const written = await openContainer(out);
    const tensors = new Map<string, Uint8Array>();
    for (const key of written.tensors.keys()) tensors.set(key, await written.read(key));
    await written.close();
    return tensors;
  };
  await mkdir(join(folder, 'repeated'));
  const repeated = await learned(await modelWithHeadCopy(join(folder, 'repeated')), 'repeated-out');
  expect(repeated.has('lm_head.weight')).toBe(false);
  expect(repeated).toEqual(await learned(tiedModel, 'once-out'));
});

test('fixed widths need no target', async () => {
  const spec = specOf('qat', { method: 'qat', parameters: { bits: 4 }, steps: 40, formats: ['onnx-packed'] });
  const { targetBits: _targetBits, ...without } = spec;
  expect((await learn(without)).layers.map(({ bits }) => bits)).toEqual([4, 4]);
  await expect(learn(spec)).rejects.toMatchObject({ code: 'invalid-argument' });
});

test.each([
  ['data of another shape', { model: fixture('onnx/digits-a.onnx') }, /\[.*1, 8, 8\].*\[1260, 64\]/],
  ['a target below the narrowest widths', { targetBits: 1 }, /target/i],
  ['an unknown method', { method: 'diffk' }, /Unknown training method 'diffk'/],
  ['a parameter out of range', { parameters: { maxBits: 99 } }, /maxBits/],
  ['a folder that is not there', { data: '/nowhere' }, /No data at/],
  ['one width for a tensor where groups learn theirs', { formats: ['archive', 'onnx'] }, /--group-size tensor/],
] as const)('%s is refused before anything runs, and nothing is written', async (_, more, message) => {
  await mkdir(join(folder, 'refusals'), { recursive: true });
  const spec = specOf('refusals/out', more as Partial<LearnSpec>);
  await expect(learn(spec)).rejects.toThrow(message);
  expect(await readdir(join(folder, 'refusals'))).toEqual([]);
});

test('an output folder that is not empty is refused before the training', async () => {
  const out = join(folder, 'taken');
  await mkdir(out);
  await writeFile(join(out, 'notes.txt'), 'mine');
  const steps: number[] = [];
  await expect(learn(specOf('taken', { steps: 5 }), { progress: (step) => steps.push(step) })).rejects.toThrow(/exists and is not empty/);
  expect(steps).toEqual([]);
  expect(await readdir(out)).toEqual(['notes.txt']);
  expect(existsSync(checkpointFolderOf({ out }))).toBe(false);
});

test('resuming without a checkpoint is stated in the report', async () => {
  const report = await learn(specOf('anew', { steps: 2, formats: ['archive'], resume: true }));
  expect(report.notes.join(' ')).toMatch(/No checkpoint to resume/);
});

test('a table without splits is not evaluated on training rows; with splits, on the others', async () => {
  const table = join(folder, 'table.csv');
  const line = (part: string, index: number) =>
    [...Array.from({ length: 64 }, (_, pixel) => (pixel * 7 + index) % 16), index % 10, part].join(',');
  const header = [...Array.from({ length: 64 }, (_, pixel) => `pixel_${pixel}`), 'digit', 'part'].join(',');
  const parts = [...Array<string>(40).fill('train'), ...Array<string>(10).fill('val')];
  await writeFile(table, [header, ...parts.map(line)].join('\n'));
  const columns = { input: 'pixel_*', label: 'digit' };
  const shared = { data: table, steps: 2, formats: ['archive'] as const };
  const whole = await learn(specOf('table-whole', { ...shared, columns }));
  expect(whole.quality).toEqual({ byFormat: {} });
  const cut = await learn(specOf('table-parts', { ...shared, columns: { ...columns, split: 'part' } }));
  expect(cut.quality.after?.samples).toBe(10);
}, 60_000);

test('PQK refuses a single output, which has no class probabilities to distil', async () => {
  const { targetBits: _targetBits, ...spec } = specOf('single', {
    model: fixture('onnx/din-a.onnx'),
    method: 'pqk',
    data: join(folder, 'clicks'),
    steps: 10,
  });
  await mkdir(spec.data);
  const samples = 8;
  const zeros = (dtype: 'int64' | 'uint8', shape: readonly number[]) =>
    encodeNpy(dtype, shape, new Uint8Array(shape.reduce((product, length) => product * length, dtype === 'int64' ? 8 : 1)));
  for (const split of ['train', 'val']) {
    await writeFile(join(spec.data, `${split}-history.npy`), zeros('int64', [samples, 20]));
    await writeFile(join(spec.data, `${split}-target.npy`), zeros('int64', [samples]));
    await writeFile(
      join(spec.data, `${split}-label.npy`),
      encodeNpy(
        'uint8',
        [samples],
        Uint8Array.from({ length: samples }, (_, index) => index % 2),
      ),
    );
  }
  await expect(learn(spec)).rejects.toThrow(/PQK .*at least 2/);
});
