import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CompareReport, CompressReport, EvaluateReport } from '../../../src/protocol/report';
import { CommandLine } from '../../support/commandLine';

const text = resolve('test/fixtures/text/eval-play.txt');
const spec = (model: string) => ['evaluate', model, '--text', text, '--window', '256', '--limit', '32'];
const formats = ['hf', 'onnx', 'onnx-fast', 'onnx-packed'] as const;
let line: CommandLine;
const models = new Map<string, string>([['float', resolve('media/samples/loom-base')]]);

beforeAll(async () => {
  line = await CommandLine.build();
  for (const format of formats) {
    const out = resolve(line.folder, format);
    const parameters = ['--method', 'rtn', '--bits', '4', '--group-size', '32', '--format', format, '--out', out];
    await line.json(['compress', models.get('float')!, ...parameters]);
    models.set(format, out);
  }
}, 300_000);
afterAll(() => line.remove());

describe('under --max-memory a process', () => {
  // The steps between the smallest limit and one that no longer binds.
  test.each(['float', 'onnx-packed'])(
    'stays within every limit that it accepts, and refuses a smaller one with the shortfall: %s',
    async (name) => {
      const words = spec(models.get(name)!);
      const refused = await line.run([...words, '--max-memory', '100MB', '--json']);
      expect(refused.code).toBe(4);
      const { error } = JSON.parse(refused.stdout) as { error: { message: string; details: { needed: number; shortfall: number } } };
      expect(error.message).toMatch(/short/);
      const { needed, shortfall } = error.details;
      expect(needed - shortfall).toBe(100e6);
      expect(needed).toBeLessThan(300e6);
      expect((await line.run([...words, '--max-memory', `${needed - 1e6}`])).code).toBe(4);
      for (const limit of [needed + 1, needed + 30e6, needed + 100e6]) {
        const report = await line.json<EvaluateReport>([...words, '--max-memory', `${limit}`]);
        expect(report.peakRssBytes).toBeLessThanOrEqual(limit);
        expect(Math.abs(report.value / (name === 'float' ? 98.997 : 99.333) - 1)).toBeLessThan(0.001);
      }
    },
    120_000,
  );
});

test('a process that runs 2-bit onnx-fast through dequantised weights holds the limit that allows them, and the forecast', async () => {
  const out = join(line.folder, 'two-bits');
  await line.json(['compress', models.get('float')!, '--method', 'rtn', '--bits', '2', '--format', 'onnx-fast', '--out', out]);
  const refused = await line.run([...spec(out), '--max-memory', '100MB', '--json']);
  const { error } = JSON.parse(refused.stdout) as { error: { details: { needed: number } } };
  const kept = await line.json<EvaluateReport>([...spec(out), '--max-memory', `${error.details.needed + 1}`]);
  expect(kept.choices.join()).toMatch(/multiplied as stored/);
  const needed = Number(/but need ([\d.]+) MiB/.exec(kept.choices.join())![1]);
  const limit = Math.ceil((needed + 0.1) * 2 ** 20);
  const fast = await line.json<EvaluateReport>([...spec(out), '--max-memory', `${limit}`]);
  expect(fast.choices.join()).toMatch(/28 matrices are dequantised first/);
  expect(fast.peakRssBytes).toBeLessThanOrEqual(limit);
  expect(Math.abs(fast.loss - kept.loss)).toBeLessThan(1e-2);
}, 180_000);

// Outside figures: PyTorch with transformers on the float model and on dequantised weights.
test.each([['float', 98.997] as const, ...formats.map((format) => [format, 99.333] as const)])(
  'loom-base as %s has perplexity %d on the first 32 windows of eval-play',
  async (name, perplexity) => {
    const report = await line.json<EvaluateReport>(spec(models.get(name)!));
    expect(report).toMatchObject({ tokens: 8192, windows: 32, window: 256 });
    expect(Math.abs(report.value / perplexity - 1)).toBeLessThan(0.001);
    expect(report.scoringSeconds).toBeLessThan(report.seconds);
  },
  120_000,
);

/** Compares a model with its compressed form: every layer by its original name, with the error that was measured when it was compressed. */
async function checkComparison(source: string, out: string): Promise<CompareReport> {
  const made = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as CompressReport;
  const report = await line.json<CompareReport>(['compare', source, out]);
  expect(report.missing).toBe(0);
  expect(report.changed).toBe(made.layers.length);
  for (const { name, relativeError } of made.layers) {
    const tensor = report.tensors.find((each) => each.name === name)!;
    expect(tensor.status).toBe('changed');
    // hf stores values in the source's type: rounded again.
    expect(Math.abs(tensor.relativeError! / relativeError - 1)).toBeLessThan(made.format === 'hf' ? 1e-3 : 1e-5);
    expect(tensor.sqnr).toBeCloseTo(-20 * Math.log10(tensor.relativeError!), 6);
    expect(tensor.cosine).toBeGreaterThan(0.9);
  }
  return report;
}

describe('compare gives cosine and SQNR of every layer', () => {
  test.each(formats)('of the format %s', async (format) => {
    const report = await checkComparison(models.get('float')!, models.get(format)!);
    expect(report).toMatchObject({ equal: 10, changed: 28 });
    if (format !== 'hf') expect(report.notes!.join()).toMatch(/28 compressed layers/);
  });

  // Widths of several planes, tied embedding, symmetric codes, other groupings, an override; ONNX sources with and without transposed weights.
  test.each([
    ['media/samples/loom-base', 'onnx-packed', '--bits 3 --group-size row --symmetric --embeddings'],
    ['media/samples/loom-base', 'onnx', '--bits 5 --group-size 50 --override *.0.*=bits:8'],
    ['media/samples/loom-base', 'onnx-fast', '--bits 8 --group-size tensor --embeddings'],
    ['test/fixtures/onnx/digits-a.onnx', 'onnx', '--bits 6 --group-size 24'],
    ['test/fixtures/onnx/din-a.onnx', 'onnx-packed', '--bits 7 --group-size 16'],
    ['test/fixtures/onnx/din-a.onnx', 'onnx-fast', '--bits 4'],
  ])(
    'of %s as %s with %s',
    async (source, format, words) => {
      const out = join(line.folder, `compared-${format}-${words.replace(/\W+/g, '-')}-${source.length}`);
      await line.json(['compress', resolve(source), '--method', 'rtn', '--format', format, '--out', out, ...words.split(' ')]);
      await checkComparison(resolve(source), out);
    },
    60_000,
  );

  test('and explains why models without a common name cannot be compared', async () => {
    const report = await line.json<CompareReport>(['compare', models.get('float')!, resolve('test/fixtures/onnx/din-a.onnx')]);
    expect(report).toMatchObject({ equal: 0, changed: 0 });
    expect(report.notes!.join()).toMatch(/no tensor name in common.*rename.*has no matching report.*evaluate/);
  });
});
