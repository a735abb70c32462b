import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { HostThreads } from '../../../../../src/engine/kernels/host/threads/hostThreads';
import { isShared, sharedFloat32, SharedScratch } from '../../../../../src/engine/kernels/host/threads/sharedMemory';
import { bundleForNode } from '../../../../support/bundle';
import { failureOf } from '../../../../support/formatFiles';
import { testTasks } from '../../../../support/hostTestTasks';

const { step, add, exit, endless } = testTasks;
let workerFile: string;
const open: HostThreads[] = [];
const notes: string[] = [];

beforeAll(async () => {
  workerFile = await bundleForNode('test/support/hostTaskWorker.ts');
});
afterAll(() => rmSync(dirname(workerFile), { recursive: true, force: true }));
afterEach(async () => {
  await Promise.all(open.splice(0).map((threads) => threads.close()));
  notes.length = 0;
});

function threadsOf(count: number, file = workerFile): HostThreads {
  const threads = new HostThreads(count, { workerFile: file, note: (text) => notes.push(text) });
  open.push(threads);
  return threads;
}

const steps = (count: number, milliseconds?: number) => Array.from({ length: count }, (_, index) => ({ index, milliseconds }));

test.each([1, 2, 3, 7])('%d threads give the outputs in the order of the inputs', async (count) => {
  const outputs = await threadsOf(count).run(step, steps(40));
  expect(outputs.map(({ index }) => index)).toEqual(steps(40).map(({ index }) => index));
  expect(notes).toEqual([]);
});

test('several threads exclude the calling one; a single thread is the calling one', async () => {
  const many = await threadsOf(3).run(step, steps(30, 5));
  const ids = new Set(many.map(({ threadId }) => threadId));
  expect(ids.size).toBe(3);
  expect(ids.has(0)).toBe(false);
  const single = threadsOf(1);
  expect(single.parallel).toBe(false);
  const here = new Set((await single.run(step, steps(3))).map(({ threadId }) => threadId));
  expect(here.size).toBe(1);
  expect(ids.has([...here][0] as number)).toBe(false);
});

test('shared memory is used in place; other memory is not visible to workers', async () => {
  const shared = sharedFloat32(8);
  const own = new Float32Array(8);
  const threads = threadsOf(2);
  expect(threads.parallel).toBe(true);
  await threads.run(add, [
    { values: shared.subarray(0, 4), by: 1 },
    { values: shared.subarray(4), by: 2 },
    { values: own, by: 3 },
  ]);
  expect([...shared]).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
  expect([...own]).toEqual(new Array<number>(8).fill(0));
  expect([isShared(shared), isShared(own)]).toEqual([true, false]);
  await threads.runHere(add, [{ values: own, by: 3 }]);
  expect([...own]).toEqual(new Array<number>(8).fill(3));
});

test('the error is that of the first input that fails, whichever thread fails first', async () => {
  for (const count of [1, 2, 3]) {
    const inputs = [
      { index: 0, milliseconds: 5 },
      { index: 1, milliseconds: 60, failure: 'the first' },
      { index: 2, failure: 'quicker, but later' },
      ...steps(20, 1).slice(3),
    ];
    const error = await failureOf(() => threadsOf(count).run(step, inputs));
    expect([error.code, error.message, error.details]).toEqual(['malformed-file', 'the first', { index: 1 }]);
  }
});

test('after a failure the threads accept new work', async () => {
  const threads = threadsOf(2);
  await failureOf(() => threads.run(step, [{ index: 0, failure: 'no' }, ...steps(10)]));
  expect(await threads.run(step, steps(4))).toHaveLength(4);
});

test('concurrent batches do not mix', async () => {
  const threads = threadsOf(2);
  const all = await Promise.all([threads.run(step, steps(9, 1)), threads.run(step, steps(5)), threads.run(step, [])]);
  expect(all.map((outputs) => outputs.map(({ index }) => index))).toEqual([
    steps(9).map(({ index }) => index),
    steps(5).map(({ index }) => index),
    [],
  ]);
});

test('cancel rejects at once, drops what is queued and leaves the threads usable', async () => {
  for (const count of [1, 2]) {
    const threads = threadsOf(count);
    await threads.run(step, steps(2));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const start = performance.now();
    const error = await failureOf(() => threads.run(step, steps(1000, 10), controller.signal));
    expect(error.code).toBe('cancelled');
    expect(performance.now() - start).toBeLessThan(2000);
    expect(await threads.run(step, steps(2))).toHaveLength(2);
    expect((await failureOf(() => threads.run(step, steps(2), AbortSignal.abort()))).code).toBe('cancelled');
  }
});

test('close stops a thread in the middle of its work and rejects the work as cancelled', async () => {
  const threads = threadsOf(2);
  const started = new Int32Array(new SharedArrayBuffer(4));
  const pending = failureOf(() => threads.run(endless, [started]));
  while (Atomics.load(started, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await threads.close();
  expect((await pending).code).toBe('cancelled');
  expect((await failureOf(() => threads.run(step, steps(1)))).code).toBe('cancelled');
});

test('a thread that exits during its work is an error; the others continue, and without any the calling thread does', async () => {
  const threads = threadsOf(2);
  const error = await failureOf(() => threads.run(exit, [3]));
  expect(error.code).toBe('internal');
  expect(error.message).toContain('worker thread ended unexpectedly');
  expect(await threads.run(step, steps(5))).toHaveLength(5);
  await failureOf(() => threads.run(exit, [3]));
  expect(notes).toHaveLength(1);
  expect(threads.parallel).toBe(false);
  expect(await threads.run(step, steps(5))).toHaveLength(5);
});

test.each([
  ['is missing', '/nowhere/worker.js'],
  ['throws at its start', import.meta.filename],
])('where the script of a worker %s, the calling thread does the work and a note says so', async (_, file) => {
  const threads = threadsOf(3, file);
  const outputs = await threads.run(step, steps(5));
  expect(outputs.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain('one thread');
  expect(threads.parallel).toBe(false);
});

test('idle threads do not keep the process alive, pending work does', async () => {
  const parent = await bundleForNode('test/support/hostThreadsParent.ts');
  try {
    const start = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, [parent, workerFile], { encoding: 'utf8', timeout: 30_000 });
    expect([status, stdout.trim(), stderr]).toEqual([0, '0 1 2 3', '']);
    expect(performance.now() - start).toBeLessThan(10_000);
  } finally {
    rmSync(dirname(parent), { recursive: true, force: true });
  }
});

test('scratch memory is reused, in sizes of powers of two', () => {
  const scratch = new SharedScratch();
  const first = scratch.take(5000);
  expect(first.byteLength).toBe(8192);
  expect(scratch.take(5000)).not.toBe(first);
  scratch.giveBack(first);
  expect(scratch.take(9000)).not.toBe(first);
  expect(scratch.take(8000)).toBe(first);
});
