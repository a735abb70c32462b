import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { estimateLearn } from '../../../../src/engine/compress/learned/estimateLearn';
import { findHeldOut, measureQuality } from '../../../../src/engine/compress/learned/measureQuality';
import { openJobData } from '../../../../src/engine/evaluate/data/jobData';
import { LoomweightError } from '../../../../src/protocol/errors';
import type { LearnSpec } from '../../../../src/protocol/jobs';
import { completeLearnSpec } from '../../../../src/protocol/learnDefaults';
import type { LearnReport } from '../../../../src/protocol/report';
import { CommandLine } from '../../../support/commandLine';
import { openRuntime, test } from '../../../support/fixtures';
import { workContext } from '../../../support/workContext';

const model = resolve('media/samples/digits/digits-mlp.onnx');
/** 60,000 rows with a list of 64 numbers each: reading it takes some 500 MB, training the model 1 MB. */
const data = resolve('test/fixtures/tables/lists-split.parquet');
const columns = { input: 'x', label: 'label', split: 'split' };
const specInto = (out: string): LearnSpec => completeLearnSpec({ model, data, columns, out, targetBits: 3, steps: 20 }, true);

let line: CommandLine;
beforeAll(async () => {
  line = await CommandLine.build();
}, 60_000);
afterAll(() => line.remove());

test('learning from a table stays within a limit that its own forecast passes', { timeout: 120_000 }, async ({ folder }) => {
  const out = join(folder, 'out');
  const { hostMemoryBytes } = await estimateLearn(specInto(out));
  const limit = Math.ceil(hostMemoryBytes / 2 ** 20);
  const map = Object.entries(columns).flatMap(([key, column]) => ['--columns', `${key}=${column}`]);
  const words = ['learn-bits', model, '--data', data, ...map, '--target-bits', '3', '--steps', '20', '--out', out];
  const report = await line.json<LearnReport>([...words, '--max-memory', `${limit}MiB`]);
  expect(Object.keys(report.quality.byFormat ?? {})).toEqual(['archive', 'onnx-packed']);
  expect([report.quality.before?.samples, report.quality.after?.samples]).toEqual([10_000, 10_000]);
  expect(report.notes).toContain("Trained on 40000 samples of 'train', validated on 10000 of 'val'.");
  // Just below, the job does not start.
  const below = await line.run([...words, '--start-over', '--max-memory', `${limit - 1}MiB`]);
  expect(below.stderr).toContain('Nothing was started');
});

test('quality that memory is too short for is left out with a note; other errors stay errors', async ({ folder }) => {
  const runtime = await openRuntime();
  const notes: string[] = [];
  const context = workContext(runtime, { note: (text) => notes.push(text) });
  const spec = { ...specInto(join(folder, 'out')), data: resolve('media/samples/digits/data'), columns: {} };
  const failing = (code: 'insufficient-memory' | 'malformed-file') => ({
    ...openJobData(spec),
    read: () => Promise.reject(new LoomweightError(code, 'Reading fails.')),
  });
  const measure = async (source: ReturnType<typeof openJobData>) =>
    measureQuality({ spec, heldOut: await findHeldOut(spec, source), model, name: 'the original' }, context);
  expect((await measure(openJobData(spec)))?.samples).toBe(360);
  expect(notes).toEqual([]);
  expect(await measure(failing('insufficient-memory'))).toBeUndefined();
  expect(notes).toEqual(['The quality of the original was not measured: Reading fails.']);
  await expect(measure(failing('malformed-file'))).rejects.toMatchObject({ code: 'malformed-file' });
});
