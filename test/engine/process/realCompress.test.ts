import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Journal } from '../../../src/engine/services/journal';
import { runJobInOwnProcess } from '../../../src/protocol/client/runJobInOwnProcess';
import type { CompressSpec, JobProgress } from '../../../src/protocol/jobs';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

let enginePath: string;
let state: string;
let folder: string;

beforeAll(async () => {
  enginePath = await bundleForNode('src/engine/main.ts');
  state = mkdtempSync(join(tmpdir(), 'loomweight-state-'));
});
afterAll(() => rmSync(state, { recursive: true, force: true }));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-compress-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const runtimePath = resolve('node_modules/onnxruntime-node');
const options = () => ({ enginePath, runtimePath, env: { LOOMWEIGHT_STATE: state } });
const spec = (): CompressSpec => ({
  kind: 'compress',
  model: resolve('media/samples/loom-base'),
  method: 'rtn',
  parameters: { bits: 4 },
  format: 'onnx-fast',
  out: join(folder, 'out'),
});

/** Runs until the first progress of a phase, then acts. */
async function interrupted(phase: RegExp, act: (pid: number, abort: () => void) => void, more: Partial<CompressSpec> = {}) {
  const controller = new AbortController();
  let pid = 0;
  let acted = 0;
  const error = await failure(
    runJobInOwnProcess(
      { ...spec(), ...more },
      {
        ...options(),
        signal: controller.signal,
        onStart: (started) => (pid = started),
        onProgress: (progress) => {
          if (acted > 0 || !phase.test(progress.phase)) return;
          acted = Date.now();
          act(pid, () => controller.abort());
        },
      },
    ),
  );
  expect(acted).toBeGreaterThan(0);
  return { error, pid, milliseconds: Date.now() - acted };
}

test('a running compression is cancelled: its process is gone within 2.5 s and no output is left', async () => {
  const { error, pid, milliseconds } = await interrupted(/Compressing/, (_pid, abort) => abort());
  expect(error.code).toBe('cancelled');
  expect(isGone(pid)).toBe(true);
  // The one time limit that is part of the contract.
  expect(milliseconds).toBeLessThan(2500);
  expect(readdirSync(folder)).toEqual([]);
});

test('a compression killed from outside leaves nothing, reports it, and the next one works', async () => {
  const { error, pid } = await interrupted(/Compressing/, (running) => process.kill(running, 'SIGKILL'));
  expect(error).toMatchObject({ code: 'engine-crashed', details: { signal: 'SIGKILL' } });
  expect(isGone(pid)).toBe(true);
  expect(readdirSync(folder)).toEqual([]);

  const seen: JobProgress[] = [];
  const report = await runJobInOwnProcess(spec(), { ...options(), onProgress: (progress) => seen.push(progress) });
  expect(report).toMatchObject({ kind: 'compress', verification: { passed: true } });
  expect(seen.some(({ layers }) => (layers?.length ?? 0) > 0)).toBe(true);
  expect(readdirSync(folder)).toEqual(['out']);
  // The killed run was closed in the journal by the next one.
  const statuses = (await new Journal(join(state, 'jobs')).entries()).map(({ status }) => status);
  expect(statuses[0]).toBe('done');
  expect(statuses).not.toContain('running');
});

test('a limit that is too low is refused before the start, with the shortfall', async () => {
  const error = await failure(runJobInOwnProcess({ ...spec(), maxMemory: 150e6 }, options()));
  expect(error.code).toBe('insufficient-memory');
  expect(error.message).toMatch(
    /The job needs [\d.]+ MiB of memory under --max-memory, but only 143 MiB are available: [\d.]+ MiB too little/,
  );
  expect(readdirSync(folder)).toEqual([]);
});

// POSIX shells can bound the size of every file that a process writes: a disk that fills up in the middle of a file.
if (process.platform !== 'win32')
  test('a full disk is a clear error and leaves nothing half-written', async () => {
    const parent = await bundleForNode('test/engine/process/diskLimitParent.ts');
    const { stdout } = await promisify(execFile)(
      'bash',
      ['-c', 'ulimit -f 1000; exec "$0" "$@"', process.execPath, parent, enginePath, runtimePath, JSON.stringify(spec())],
      { env: { ...process.env, LOOMWEIGHT_STATE: state } },
    );
    const error = JSON.parse((stdout.split('\n').find((line) => line.startsWith('RESULT ')) as string).slice(7)) as { code: string };
    expect(error).toMatchObject({ code: 'insufficient-disk' });
    expect(readdirSync(folder)).toEqual([]);
  });
