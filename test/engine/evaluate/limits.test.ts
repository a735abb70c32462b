import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EvaluateReport } from '../../../src/protocol/report';
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
    'holds every limit that is accepted, and refuses a smaller one with the shortfall: %s',
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
