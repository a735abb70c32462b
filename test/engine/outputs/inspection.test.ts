import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { Engine } from '../../../src/engine/engine';
import type { CompressReport } from '../../../src/protocol/report';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { test as base } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

const llama = fileURLToPath(new URL('../../fixtures/models/tiny-llama', import.meta.url));
const digits = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));

const test = base.extend<{ readonly engine: Engine; readonly compress: (model: string, format: OutputFormat) => Promise<CompressReport> }>({
  // eslint-disable-next-line no-empty-pattern
  engine: async ({}, use) => {
    const engine = new Engine();
    await use(engine);
    await engine.dispose();
  },
  compress: async ({ folder, runtime }, use) => {
    await use((model, format) => {
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: { bits: 4 }, format, out: join(folder, format) };
      return compressModel(spec, workContext(runtime));
    });
  },
});

describe.each([
  ['a language model', llama, ['onnx', 'onnx-fast', 'onnx-packed']],
  ['an ONNX model', digits, ['onnx', 'onnx-fast', 'onnx-packed']],
] as const)('the output of %s', (_what, model, formats) => {
  test.for(formats)(
    'as %s shows its layers with their values, and as a file what is stored',
    async (format, { folder, engine, compress }) => {
      const report = await compress(model, format);
      const out = join(folder, format);
      const [source, shown] = [await engine.inspect({ model }), await engine.inspect({ model: out })];
      const shapes = new Map(source.tensors.map(({ name, shape }) => [name, shape]));
      const names = shown.tensors.map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      for (const { name, bytesAfter } of report.layers) {
        const entry = shown.tensors.find((tensor) => tensor.name === name);
        expect(entry, name).toMatchObject({ shape: shapes.get(name), bytes: bytesAfter });
        // Rounding to 4 bits leaves mean and spread nearly as they were; codes, scales or a transposition mix-up would not.
        const [before, after] = [await engine.statistics({ model, tensor: name }), await engine.statistics({ model: out, tensor: name })];
        expect(Math.abs(after.mean - before.mean)).toBeLessThan(0.05 * before.standardDeviation);
        expect(after.standardDeviation / before.standardDeviation).toBeGreaterThan(0.95);
        expect(after.standardDeviation / before.standardDeviation).toBeLessThan(1.05);
      }
      const layouts = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as CompressReport;
      const pieces = layouts.layers.flatMap(({ layout }) => Object.values(layout?.pieces ?? {}));
      expect(pieces.length).toBeGreaterThan(report.layers.length);
      expect(names.filter((name) => pieces.includes(name))).toEqual([]);
      const file = join(out, report.primary);
      const stored = (await engine.inspect({ model: file })).tensors.map(({ name }) => name);
      expect(stored).toEqual(expect.arrayContaining(pieces));
      for (const tensor of pieces.slice(0, 3)) expect((await engine.statistics({ model: file, tensor })).count).toBeGreaterThan(0);
    },
  );
});

test('an output whose layouts make no sense is shown as it is stored, with the reason', async ({ folder, engine, compress }) => {
  await compress(digits, 'onnx-fast');
  const out = join(folder, 'onnx-fast');
  const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as {
    readonly layers: readonly { readonly layout: { form: string } }[];
  };
  report.layers[0]!.layout.form = 'unheard-of';
  writeFileSync(join(out, 'report.json'), JSON.stringify(report));
  const { tensors, diagnostics } = await engine.inspect({ model: out });
  expect(tensors.length).toBeGreaterThan(0);
  expect(diagnostics).toContainEqual(expect.objectContaining({ code: 'unreadable-layouts', severity: 'warning' }));
});
