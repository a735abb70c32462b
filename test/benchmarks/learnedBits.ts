/**
 * Size against quality of ways to train with few bits, several seeds each: mean and deviation. Prints JSON, then a Markdown table.
 * Usage: npm run bench learnedBits -- --model FILE --data DATA [--validation TEXT] --runs 'diffq:targetBits=3,groupSize=8; qat:bits=3; rtn:bits=3,groupSize=32'
 *        [--seeds 3] [--starts trained,scratch] [--steps 1000] [--more '{"rate":0.002,"batch":64}']
 * A run is a method with its parameters; `targetBits`, `penalty`, `steps`, `rate`, `logitRate` and other keys of the job may be among them. `rtn` rounds
 * the trained model without training, `float` is the model trained on in float.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { compressModel } from '../../src/engine/compress/compressModel';
import { learnBits } from '../../src/engine/compress/learned/learnBits';
import { openJobData } from '../../src/engine/evaluate/data/jobData';
import { findHeldOut, measureQuality } from '../../src/engine/compress/learned/measureQuality';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { findWeightMethod } from '../../src/engine/train/methods/index';
import type { LearnSpec } from '../../src/protocol/jobs';
import { completeLearnSpec } from '../../src/protocol/learnDefaults';
import { workContext } from '../support/workContext';

const { values: given } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    validation: { type: 'string' },
    runs: { type: 'string' },
    seeds: { type: 'string', default: '3' },
    starts: { type: 'string', default: 'trained' },
    steps: { type: 'string', default: '1000' },
    more: { type: 'string', default: '{}' },
    threads: { type: 'string', default: '2' },
  },
});
if (!given.model || !given.data || !given.runs) throw new Error('--model, --data and --runs are needed.');

interface Outcome {
  readonly run: string;
  readonly start: string;
  readonly seed: number;
  readonly bitsPerWeight: number;
  readonly bytes: number;
  readonly value: number;
  readonly metric: string;
  readonly before?: number;
  readonly seconds: number;
}

const memoryLimit = 16e9;
const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-learned-'));
const runtime = await createRuntime({ provider: 'cpu', threads: Number(given.threads) });
const outcomes: Outcome[] = [];
try {
  for (const start of given.starts.split(',') as ('trained' | 'scratch')[])
    for (const run of given.runs.split(';').map((text) => text.trim()))
      for (let seed = 0; seed < (run.startsWith('rtn') ? 1 : Number(given.seeds)); seed += 1) {
        if (run.startsWith('rtn') && start === 'scratch') continue;
        const outcome = run.startsWith('rtn') ? await rounded(run, seed) : await learned(run, start, seed);
        outcomes.push(outcome);
        console.error(JSON.stringify(outcome));
      }
} finally {
  await runtime.dispose();
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(outcomes, undefined, 2));
console.log(table(outcomes));

function settingsOf(run: string): { readonly method: string; readonly settings: Readonly<Record<string, unknown>> } {
  const [method = '', list = ''] = run.split(':');
  const settings = list
    .split(',')
    .filter((part) => part !== '')
    .map((part) => part.split('=').map((text) => text.trim()) as [string, string])
    .map(([key, value]) => [
      key,
      value === 'true' ? true : value === 'false' ? false : Number.isNaN(Number(value)) ? value : Number(value),
    ]);
  return { method, settings: Object.fromEntries(settings) as Record<string, unknown> };
}

function specOf(method: string, settings: Readonly<Record<string, unknown>>, out: string): LearnSpec {
  const descriptor = findWeightMethod(method);
  const keys = new Set(descriptor.parameters.map(({ key }) => key));
  const entries = Object.entries(settings);
  return completeLearnSpec(
    {
      model: given.model as string,
      data: given.data as string,
      out,
      method,
      parameters: Object.fromEntries(entries.filter(([key]) => keys.has(key))),
      steps: Number(given.steps),
      ...(given.validation === undefined ? {} : { validation: given.validation }),
      ...(JSON.parse(given.more) as Partial<LearnSpec>),
      ...Object.fromEntries(entries.filter(([key]) => !keys.has(key))),
    },
    descriptor.learnsWidths,
  );
}

async function learned(run: string, start: 'trained' | 'scratch', seed: number): Promise<Outcome> {
  const { method, settings } = settingsOf(run);
  const out = path.join(folder, `${outcomes.length}`);
  const formats = method === 'float' ? (['onnx-packed'] as const) : (['archive', 'onnx-packed'] as const);
  const spec: LearnSpec = { ...specOf(method, settings, out), start, seed, formats };
  const report = await learnBits(spec, workContext(runtime, { memoryLimit, seed }));
  const measured = report.quality.byFormat?.['onnx-packed'] ?? report.quality.after;
  return {
    run,
    start,
    seed,
    bitsPerWeight: method === 'float' ? 32 : report.bitsPerWeight,
    bytes: report.sizes.onDisk[formats[0]] ?? report.bytesAfter,
    value: measured?.value ?? NaN,
    metric: measured?.metric ?? 'none',
    ...(report.quality.before ? { before: report.quality.before.value } : {}),
    seconds: report.seconds,
  };
}

async function rounded(run: string, seed: number): Promise<Outcome> {
  const { settings } = settingsOf(run);
  const out = path.join(folder, `${outcomes.length}`);
  const start = performance.now();
  const report = await compressModel(
    {
      kind: 'compress',
      model: given.model as string,
      method: 'rtn',
      parameters: settings,
      format: 'onnx-packed',
      out,
      embeddings: given.validation !== undefined,
    },
    workContext(runtime, { memoryLimit }),
  );
  const learning = specOf('float', {}, out);
  const heldOut = await findHeldOut(learning, openJobData(learning));
  const measured = await measureQuality(
    { spec: learning, heldOut, model: out, name: 'the output' },
    workContext(runtime, { memoryLimit, seed }),
  );
  return {
    run,
    start: 'trained',
    seed,
    bitsPerWeight: report.bitsPerWeight,
    bytes: report.bytesAfter,
    value: measured?.value ?? NaN,
    metric: measured?.metric ?? 'none',
    seconds: (performance.now() - start) / 1000,
  };
}

function table(all: readonly Outcome[]): string {
  const keys = [...new Set(all.map(({ run, start }) => `${start}|${run}`))];
  const rows = keys.map((key) => {
    const group = all.filter(({ run, start }) => `${start}|${run}` === key);
    const [first] = group as [Outcome];
    return `| ${first.start} | ${first.run} | ${spread(
      group.map(({ bitsPerWeight }) => bitsPerWeight),
      2,
    )} | ${spread(
      group.map(({ bytes }) => bytes),
      0,
    )} | ${spread(
      group.map(({ value }) => value),
      4,
    )} |`;
  });
  return [`| start | method | bits per weight | bytes | ${all[0]?.metric ?? ''} |`, '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function spread(values: readonly number[], digits: number): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length === 1) return mean.toFixed(digits);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
  return `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`;
}
