import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import type { CompressSpec } from '../../../src/protocol/jobs';
import type { CompressReport } from '../../../src/protocol/report';
import { expectErrorsAgree } from '../../support/expectErrorsAgree';
import { openRuntime } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));
const digits = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));
const text = fileURLToPath(new URL('../../fixtures/text/eval-play.txt', import.meta.url));
const runtime = await openRuntime();

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'loomweight-pruning-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function prune(more: Partial<CompressSpec>): Promise<CompressReport> {
  const spec: CompressSpec = {
    kind: 'compress',
    model: sample,
    method: 'wanda',
    parameters: {},
    format: 'hf',
    out: join(folder, 'out'),
    ...more,
  };
  return compressModel(spec, workContext(runtime));
}

test.each(['hf', 'onnx-packed'] as const)('wanda 2:4 as %s: read back, verified, and half of the weights are 0', async (format) => {
  const few = { calibration: text, samples: 4, window: 64, tensors: '*.layers.0.*' };
  const report = await prune({ ...few, format, parameters: { pattern: '2:4' } });
  expect(report.verification.passed).toBe(true);
  expect(report.notes.join(' ')).toContain('Wanda was calibrated on 4 windows of 64 tokens');
  await expectErrorsAgree(sample, join(folder, 'out'), report.layers);
  // 16 bits for each kept weight and one for each place in the mask.
  for (const { bitsPerWeight } of report.layers) expect(bitsPerWeight).toBeCloseTo(9, 1);
});

test('sparsegpt with 4 bits for what is kept: stored as a mask and codes', async () => {
  const report = await prune({
    method: 'sparsegpt',
    calibration: text,
    samples: 4,
    window: 64,
    tensors: '*.layers.0.*',
    format: 'onnx-packed',
    parameters: { bits: 4 },
  });
  expect(report.verification.passed).toBe(true);
  await expectErrorsAgree(sample, join(folder, 'out'), report.layers);
  // A place in the mask, half a code, and scale and zero point of 32 weights.
  for (const { bitsPerWeight } of report.layers) expect(bitsPerWeight).toBeLessThan(1.02 + 2 + 24 / 32);
});

test('magnitude on an ONNX model: the file shrinks to the mask and what is kept', async () => {
  const report = await prune({ model: digits, method: 'magnitude', parameters: { sparsity: 0.75 }, format: 'onnx-packed' });
  expect(report.verification.passed).toBe(true);
  await expectErrorsAgree(digits, join(folder, 'out'), report.layers);
  // float32 weights: a quarter of 32 bits, and the mask.
  for (const { bitsPerWeight } of report.layers) expect(bitsPerWeight).toBeLessThan(9.2);
  expect(report.bytesAfter).toBeLessThan(0.45 * report.bytesBefore);
});

test('formats that store no pruned weights, and a budget, are refused before anything is read', async () => {
  for (const format of ['onnx', 'onnx-fast', 'archive'] as const)
    await expect(prune({ method: 'magnitude', format })).rejects.toMatchObject({
      code: expect.stringMatching(/unsupported|invalid-argument/) as string,
      message: expect.stringMatching(/sparse tensors; use (the format )?onnx-packed or hf/) as string,
    });
  await expect(prune({ method: 'magnitude', budget: 4 })).rejects.toThrow(/no widths for a budget to choose/);
});
