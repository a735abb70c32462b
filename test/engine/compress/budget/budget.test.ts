import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { allocate } from '../../../support/allocate';
import { compressModel } from '../../../../src/engine/compress/compressModel';
import { estimateCompress } from '../../../../src/engine/compress/estimateCompress';
import { evaluateModel } from '../../../../src/engine/evaluate/evaluateModel';
import { createRuntime } from '../../../../src/engine/runtime/runtime';
import type { CompressSpec } from '../../../../src/protocol/jobs';
import type { CompressReport } from '../../../../src/protocol/report';
import { expectErrorsAgree } from '../../../support/expectErrorsAgree';
import { workContext } from '../../../support/workContext';

const tiny = fileURLToPath(new URL('../../../fixtures/models/tiny-llama', import.meta.url));
const sample = fileURLToPath(new URL('../../../../media/samples/loom-base', import.meta.url));
const digits = fileURLToPath(new URL('../../../../media/samples/digits/digits-mlp.onnx', import.meta.url));
const books = fileURLToPath(new URL('../../../../media/samples/text/books.txt', import.meta.url));
const digitsData = fileURLToPath(new URL('../../../../media/samples/digits/data', import.meta.url));

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'loomweight-budget-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const runtime = () => createRuntime({ provider: 'cpu', threads: 1 });

function spec(more: Partial<CompressSpec>): CompressSpec {
  return { kind: 'compress', model: tiny, method: 'rtn', parameters: {}, format: 'onnx-packed', out: join(folder, 'out'), ...more };
}

async function compress(more: Partial<CompressSpec>): Promise<CompressReport> {
  return compressModel(spec(more), workContext(await runtime()));
}

/** What a report says of its budget must follow from its own items. */
function expectConsistent(report: CompressReport, budget: number): void {
  const { allocation, layers } = report;
  expect(report.bitsPerWeight).toBeLessThanOrEqual(budget + 1e-9);
  expect(report.verification.passed).toBe(true);
  const { items, chosen, predictedLoss } = allocation!;
  const curve = allocation!.curve.filter(({ measured }) => !measured);
  const weights = items.reduce((sum, item) => sum + item.weights, 0);
  expect(items.length).toBe(layers.length);
  const again = allocate(items, budget * weights);
  expect(again.chosen).toEqual(chosen);
  expect(again.loss).toBeCloseTo(predictedLoss, 12);
  expect(report.bitsPerWeight).toBeCloseTo(again.storedBits / weights, 9);
  for (const [index, item] of items.entries()) {
    const layer = layers.find(({ name }) => name === item.tensor)!;
    expect(layer.bits).toBe(item.options[chosen[index]!]!.bits);
  }
  for (let index = 1; index < curve.length; index += 1) {
    expect(curve[index]!.bitsPerWeight).toBeGreaterThan(curve[index - 1]!.bitsPerWeight);
    expect(curve[index]!.loss).toBeLessThan(curve[index - 1]!.loss);
  }
}

describe('a budget', () => {
  test.each([
    ['hf', 'error', 3.2],
    ['onnx', 'error', 5],
    ['onnx-fast', 'activation', 9],
    ['onnx-packed', 'gradient', 3.7],
    ['onnx-packed', 'divergence', 3.7],
    ['archive', 'error', 3.3],
  ] as const)('%s, sensitivity %s: at most %d bits per weight, including side information', async (format, sensitivity, budget) => {
    const report = await compress({ format, sensitivity, budget });
    expectConsistent(report, budget);
    expect(report.allocation).toMatchObject({ budget, unit: 'tensor', sensitivity });
    if (format === 'onnx-fast') expect(report.layers.every(({ bits }) => [2, 4, 8, 16].includes(bits))).toBe(true);
    await expectErrorsAgree(tiny, join(folder, 'out'), report.layers, format === 'hf' ? 2e-3 : 0);
  });

  test.each([
    ['hf', 'group', 'error', 3],
    ['onnx-packed', 'channel', 'gradient', 4],
    ['onnx-packed', 'group', 'activation', 4],
    ['archive', 'group', 'gradient', 3],
    ['archive', 'channel', 'error', 2.5],
  ] as const)('%s by %s, sensitivity %s: at most %d bits per weight', async (format, unit, sensitivity, budget) => {
    const report = await compress({ model: sample, tensors: '*.layers.0.self_attn.*', format, unit, sensitivity, budget });
    await expectErrorsAgree(sample, join(folder, 'out'), report.layers, format === 'hf' ? 2e-3 : 0);
    expect(report.bitsPerWeight).toBeLessThanOrEqual(budget + 1e-9);
    expect(report.bitsPerWeight).toBeGreaterThan(budget * 0.9);
    expect(report.verification.passed).toBe(true);
    expect(report.notes.some((note) => note.endsWith('relative numbers, not nats.'))).toBe(sensitivity !== 'gradient');
    const { items, chosen } = report.allocation!;
    for (const layer of report.layers) {
      const own = items.flatMap((item, index) => (item.tensor === layer.name ? [{ item, option: item.options[chosen[index]!]! }] : []));
      expect(own.length).toBeGreaterThan(1);
      expect(layer.histogram!.weights.reduce((sum, count) => sum + count, 0)).toBe(layer.weights);
      const mean = own.reduce((sum, { item, option }) => sum + item.weights * option.bits, 0) / layer.weights;
      expect(layer.bits).toBeCloseTo(mean, 9);
    }
  });

  test.each([
    [{ unit: 'group', format: 'onnx-fast', budget: 9 }, /one width per tensor/],
    [{ unit: 'group', format: 'hf', budget: 3, sensitivity: 'divergence' }, /measures whole tensors/],
    [{ unit: 'channel', format: 'hf', budget: 0.01 }, /too small: .* about/],
  ] as const)('by group or channel: %j is refused', async (more, message) => {
    await expect(compress({ sensitivity: 'error', ...(more as Partial<CompressSpec>) })).rejects.toThrow(message);
  });

  test('explicit parameters are kept: group size for all, bits for one tensor', async () => {
    const report = await compress({
      budget: 4,
      sensitivity: 'error',
      parameters: { groupSize: 32 },
      overrides: [{ glob: '*.layers.0.mlp.down_proj.weight', parameters: { bits: 7 } }],
    });
    expectConsistent(report, 4);
    expect(report.layers.find(({ name }) => name.includes('layers.0.mlp.down'))?.bits).toBe(7);
    for (const { options } of report.allocation!.items)
      for (const { bits, parameters } of options) if (bits < 16) expect(parameters).toMatchObject({ groupSize: 32, clip: true });
  });

  test('an override of 16 bits keeps a tensor unchanged, 0 bits prune it if groups have their own widths', async () => {
    const name = 'model.layers.0.mlp.down_proj.weight';
    const kept = await compress({ budget: 7, sensitivity: 'error', overrides: [{ glob: name, parameters: { bits: 16 } }] });
    expectConsistent(kept, 7);
    expect(kept.layers.find((layer) => layer.name === name)).toMatchObject({ bits: 16, relativeError: 0 });
    const grouped = { unit: 'group', model: sample, tensors: '*.layers.0.self_attn.*', sensitivity: 'error' } as const;
    const both = await compress({
      ...grouped,
      budget: 9,
      out: join(folder, 'groups'),
      overrides: [
        { glob: '*.q_proj.weight', parameters: { bits: 16 } },
        { glob: '*.k_proj.weight', parameters: { bits: 0 } },
      ],
    });
    expect(both.layers.find((layer) => layer.name.includes('q_proj'))?.bits).toBe(16);
    expect(both.layers.find((layer) => layer.name.includes('k_proj'))?.bits).toBe(0);
    expect(both.bitsPerWeight).toBeLessThanOrEqual(9);
    const pruned = compress({ budget: 7, sensitivity: 'error', overrides: [{ glob: name, parameters: { bits: 0 } }] });
    await expect(pruned).rejects.toThrow(/cannot be pruned as a whole/);
  });

  test('measured points: the loss that rounding adds on held-out text grows with fewer bits', async () => {
    const report = await compress({
      model: sample,
      tensors: '*.mlp.*',
      format: 'hf',
      budget: 2.6,
      sensitivity: 'error',
      calibration: books,
      measure: 2,
    });
    const measured = report.allocation!.curve.filter((point) => point.measured);
    expect(measured).toHaveLength(3);
    expect(measured[1]!.bitsPerWeight).toBeCloseTo(report.bitsPerWeight, 9);
    expect(measured[0]!.loss).toBeGreaterThan(0.02);
    expect(measured[0]!.loss).toBeGreaterThan(measured[1]!.loss);
    expect(measured[1]!.loss).toBeGreaterThan(measured[2]!.loss);
    expect(Math.abs(measured[2]!.loss)).toBeLessThan(0.02);
  });

  test('a large budget keeps tensors unchanged, and counts them', async () => {
    const report = await compress({ budget: 12, sensitivity: 'error', format: 'hf' });
    expectConsistent(report, 12);
    expect(report.layers.some(({ bits }) => bits === 16)).toBe(true);
  });

  test.each([
    [{ budget: 1 }, /too small: .* at least (\d\.\d+) .* Use --budget \1 or more/],
    [{ budget: 32 }, /nothing to compress/],
    [{ budget: 4, parameters: { bits: 4 } }, /Omit --bits/],
    [{ budget: 4, method: 'none', format: 'hf' }, /compress/],
    [{ budget: 4, model: digits, sensitivity: 'activation' }, /does not work here/],
  ] as const)('%j is refused', async (more, message) => {
    await expect(compress({ sensitivity: 'error', ...(more as Partial<CompressSpec>) })).rejects.toThrow(message);
  });

  test('the smallest budget named in a refusal can be met', async () => {
    const error = await compress({ budget: 0.5, sensitivity: 'error' }).catch((reason: Error) => reason);
    const smallest = Number(/Use --budget ([\d.]+)/.exec((error as Error).message)![1]);
    expectConsistent(await compress({ budget: smallest, sensitivity: 'error' }), smallest);
  });

  test('an ONNX model with data: gradients; accuracy stays', async () => {
    const report = await compress({ model: digits, budget: 3, calibration: digitsData });
    expect(report.allocation?.sensitivity).toBe('gradient');
    expectConsistent(report, 3);
    const measured = report.allocation!.curve.filter((point) => point.measured);
    expect(measured).toHaveLength(1);
    expect(measured[0]!.bitsPerWeight).toBeCloseTo(report.bitsPerWeight, 9);
    expect(report.notes.join(' ')).toMatch(/add -?[\d.]+ nats .* held-out samples/);
    const accuracy = async (model: string) =>
      (await evaluateModel({ kind: 'evaluate', model, data: digitsData }, workContext(await runtime()))).value;
    expect(await accuracy(join(folder, 'out', 'onnx', 'model.onnx'))).toBeGreaterThan((await accuracy(digits)) - 0.03);
  });

  test('the same settings choose the same widths', async () => {
    const [first, second] = [
      await compress({ budget: 3, sensitivity: 'gradient', calibration: 'random', out: join(folder, 'a') }),
      await compress({ budget: 3, sensitivity: 'gradient', calibration: 'random', out: join(folder, 'b') }),
    ];
    expect(first.allocation).toEqual(second.allocation);
    expect(first.notes.join(' ')).toContain('random tokens');
  });

  test('the forecast includes the measurement', async () => {
    const plain = await estimateCompress(spec({}));
    const measured = await estimateCompress(spec({ budget: 3, sensitivity: 'divergence' }));
    expect(measured.seconds).toBeGreaterThan(plain.seconds);
    expect(measured.notes.join(' ')).toContain("sensitivity 'divergence'");
    const pointed = await estimateCompress(spec({ model: sample, budget: 3, calibration: books, measure: 20 }));
    expect(pointed.seconds).toBeGreaterThan((await estimateCompress(spec({ model: sample, budget: 3, calibration: books }))).seconds);
  });

  test('the forecast of disk space depends on the budget', async () => {
    const forecast = async (budget: number) => (await estimateCompress(spec({ model: sample, budget }))).diskBytes;
    const [few, many] = [await forecast(2), await forecast(6)];
    const middle = await forecast(4);
    expect(middle - few).toBeCloseTo(many - middle, -2);
    expect(middle).toBeGreaterThan(few + 100_000);
  });

  test('a calibration file of JSON lines must contain enough texts', async () => {
    const lines = join(folder, 'lines.jsonl');
    writeFileSync(lines, '{"text":"one"}\n{"words":"two"}\n');
    await expect(compress({ budget: 3, calibration: lines })).rejects.toThrow(/Line 2/);
    writeFileSync(lines, '{"text":"one"}\n');
    await expect(compress({ budget: 3, calibration: lines })).rejects.toThrow(/one window needs/);
  });
});
