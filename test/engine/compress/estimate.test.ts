import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { bundleForNode } from '../../support/bundle';
import { temporaryFolder } from '../../support/fixtures';

const maker = fileURLToPath(new URL('../../support/makeSparseLlama.mjs', import.meta.url));
const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));

const folder = temporaryFolder();
let script: string;
beforeAll(async () => {
  script = await bundleForNode('test/support/compressInProcess.ts');
  // 54 M weights in blocks, shards and all: large enough that memory shows, small enough to wait for.
  execFileSync(process.execPath, [maker, join(folder, 'sparse'), '4', '1024', '2816', '4096']);
});
afterAll(() => {
  rmSync(dirname(script), { recursive: true, force: true });
});

interface Measured {
  readonly estimate: { readonly hostMemoryBytes: number; readonly diskBytes: number; readonly notes: readonly string[] };
  readonly peak: number;
  readonly written: number;
  readonly scope: string;
  readonly passed: boolean;
}

function run(model: string, format: OutputFormat, limit?: number, more: Partial<CompressSpec> = {}): Measured {
  const spec: CompressSpec = {
    kind: 'compress',
    model,
    method: 'rtn',
    parameters: {},
    format,
    out: join(folder, `${format}-${limit ?? 'free'}-${more.method ?? 'rtn'}`),
    ...more,
  };
  const given = [JSON.stringify(spec), ...(limit === undefined ? [] : [String(limit)])];
  // Outside the repository the runtime is found through NODE_PATH.
  const environment = { ...process.env, NODE_PATH: fileURLToPath(new URL('../../../node_modules', import.meta.url)) };
  return JSON.parse(execFileSync(process.execPath, [script, ...given], { encoding: 'utf8', env: environment })) as Measured;
}

test.each(['onnx-fast', 'hf', 'onnx-packed'] as const)(
  '%s under a limit: memory and disk stay below the forecast, which is close',
  (format) => {
    const limit = 900_000_000;
    const { estimate, peak, written, scope, passed } = run(join(folder, 'sparse'), format, limit);
    expect(passed).toBe(true);
    expect(scope).toBe('blocks');
    expect(estimate.hostMemoryBytes).toBeLessThan(limit);
    expect(peak).toBeLessThan(estimate.hostMemoryBytes);
    expect(estimate.hostMemoryBytes).toBeLessThan(2.5 * peak);
    expect(written).toBeLessThan(estimate.diskBytes);
    expect(estimate.diskBytes).toBeLessThan(1.2 * written + 40e6);
  },
);

test('the sample model, with the whole model run for verification', () => {
  const { estimate, peak, scope } = run(sample, 'onnx-packed');
  expect(scope).toBe('whole');
  expect(peak).toBeLessThan(estimate.hostMemoryBytes);
  expect(estimate.hostMemoryBytes).toBeLessThan(2.5 * peak);
});

test('a method that is calibrated: statistics, factors and hidden states are in the forecast', () => {
  const model = join(folder, 'one-block');
  // One block whose Gram matrices, not its weights, are what counts.
  execFileSync(process.execPath, [maker, model, '1', '256', '1792', '512']);
  const gptq = { method: 'gptq', calibration: 'random', samples: 4 };
  const { estimate, peak, passed } = run(model, 'archive', 600_000_000, gptq);
  expect(passed).toBe(true);
  expect(estimate.notes.join(' ')).toContain('Calibrating on 4 windows of 256 tokens');
  expect(peak).toBeLessThan(estimate.hostMemoryBytes);
  expect(estimate.hostMemoryBytes).toBeLessThan(2.5 * peak);
});
