import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runJobInOwnProcess } from '../../../src/protocol/client/runJobInOwnProcess';
import type { CompressSpec, JobProgress } from '../../../src/protocol/jobs';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

let enginePath: string;
let folder: string;

beforeAll(async () => {
  enginePath = await bundleForNode('test/engine/process/scriptedEngine.ts');
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-job-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const spec = (model: string, more: Partial<CompressSpec> = {}): CompressSpec => ({
  kind: 'compress',
  model,
  method: 'rtn',
  parameters: {},
  format: 'hf',
  out: join(folder, 'out'),
  ...more,
});

test('a blocked job is cancelled: the process is gone within 2.5 s and nothing half-written is left', async () => {
  const controller = new AbortController();
  let pid = 0;
  let aborted = 0;
  const seen: JobProgress[] = [];
  const error = await failure(
    runJobInOwnProcess(spec('block'), {
      enginePath,
      signal: controller.signal,
      onStart: (started) => (pid = started),
      onProgress: (progress) => {
        seen.push(progress);
        setTimeout(() => {
          expect(readdirSync(folder)).toHaveLength(1);
          aborted = Date.now();
          controller.abort();
        }, 300);
      },
    }),
  );
  expect(error.code).toBe('cancelled');
  expect(isGone(pid)).toBe(true);
  // The one time limit that is part of the contract.
  expect(Date.now() - aborted).toBeLessThan(2500);
  expect(readdirSync(folder)).toEqual([]);
  expect(seen[0]?.phase).toBe('start');
});

test('a responsive job is cancelled without being killed', async () => {
  const controller = new AbortController();
  const promise = failure(
    runJobInOwnProcess(spec('polite'), {
      enginePath,
      signal: controller.signal,
      cancelGraceMs: 30_000,
      onProgress: () => setTimeout(() => controller.abort(), 200),
    }),
  );
  expect((await promise).code).toBe('cancelled');
  expect(readdirSync(folder)).toEqual([]);
});

test('a job above its memory limit is stopped, naming the limit', async () => {
  let pid = 0;
  const error = await failure(
    runJobInOwnProcess(spec('grow', { maxMemory: 150 * 2 ** 20 }), { enginePath, onStart: (started) => (pid = started) }),
  );
  expect(error.code).toBe('insufficient-memory');
  expect(error.message).toMatch(/in use, limit 150 MiB \(--max-memory\) plus 10 %/);
  expect(error.details?.['residentBytes']).toBeGreaterThan(165 * 2 ** 20);
  expect(isGone(pid)).toBe(true);
  expect(readdirSync(folder)).toEqual([]);
});

test('a job killed from outside reports it, and the next one works', async () => {
  const error = await failure(
    runJobInOwnProcess(spec('block'), { enginePath, onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGKILL'), 300) }),
  );
  expect(error.code).toBe('engine-crashed');
  expect(error.message).toContain('SIGKILL');
  expect(readdirSync(folder)).toEqual([]);
  expect(await runJobInOwnProcess(spec('quick'), { enginePath })).toEqual({ kind: 'inspect' });
});
