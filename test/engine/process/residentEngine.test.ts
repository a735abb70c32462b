import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ResidentEngine } from '../../../src/protocol/client/residentEngine';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

let enginePath: string;
let resident: ResidentEngine | undefined;

beforeAll(async () => {
  enginePath = await bundleForNode('test/engine/process/scriptedEngine.ts');
});
afterEach(async () => resident?.stop());

test('starts with the first request, keeps the process, starts another after a kill', async () => {
  resident = new ResidentEngine(() => ({ enginePath }));
  expect(resident.pid).toBeUndefined();
  await resident.call('checkRecipe', { file: 'f', text: 'one' });
  const first = resident.pid;
  await resident.call('checkRecipe', { file: 'f', text: 'two' });
  expect(resident.pid).toBe(first);
  const crashed = new Promise((resolve) => resident?.onDidCrash(resolve));
  process.kill(first as number, 'SIGKILL');
  expect(await crashed).toContain('SIGKILL');
  expect((await resident.call('checkRecipe', { file: 'f', text: 'three' }))[0]?.message).toBe('three');
  expect(resident.pid).not.toBe(first);
});

test('gives up after 4 crashes in 3 minutes and starts again after that time', async () => {
  let time = 0;
  resident = new ResidentEngine(() => ({ enginePath }), { now: () => time });
  for (let crash = 0; crash < 4; crash += 1) {
    expect((await failure(resident.call('methods', {}))).message).toContain('SIGABRT');
    time += 10_000;
  }
  const refused = await failure(resident.call('checkRecipe', { file: 'f', text: 'x' }));
  expect(refused.code).toBe('engine-crashed');
  expect(refused.message).toContain('crashed 4 times in 3 minutes');
  time += 3 * 60_000;
  expect((await resident.call('checkRecipe', { file: 'f', text: 'back' }))[0]?.message).toBe('back');
});

test('an aborted request frees its caller at once', async () => {
  resident = new ResidentEngine(() => ({ enginePath }));
  await resident.call('checkRecipe', { file: 'f', text: 'up' });
  const controller = new AbortController();
  const waiting = failure(resident.call('devices', {}, { signal: controller.signal }));
  setTimeout(() => controller.abort(), 20);
  expect((await waiting).code).toBe('cancelled');
});

describe('while one question blocks the thread of its process', () => {
  const patienceMs = 150;
  const blocked = 8000;
  /** A question that keeps the thread busy for so many milliseconds, answered with the process id. */
  const slow = async (milliseconds: number, signal?: AbortSignal): Promise<number> =>
    (await resident?.call('statistics', { model: 'm', tensor: String(milliseconds) }, signal ? { signal } : {}))?.count as number;
  const quick = async (text: string): Promise<string | undefined> =>
    (await resident?.call('checkRecipe', { file: 'f', text }))?.[0]?.message;
  const start = async (): Promise<number> => {
    resident = new ResidentEngine(() => ({ enginePath }), { patienceMs });
    await quick('up');
    return resident.pid as number;
  };
  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

  test('others are answered by a new process, and the slow one is answered by its own', async () => {
    const first = await start();
    const began = performance.now();
    const answer = slow(3000);
    // Asked at once and asked when the process has long been busy.
    expect(await quick('waits')).toBe('waits');
    await pause(2 * patienceMs);
    expect(await quick('comes later')).toBe('comes later');
    expect(performance.now() - began).toBeLessThan(2900);
    expect(resident?.pid).not.toBe(first);
    expect(resident?.busyProcesses).toBe(1);
    expect(await answer).toBe(first);
    expect(performance.now() - began).toBeGreaterThan(2900);
    await until(() => isGone(first));
    expect(resident?.busyProcesses).toBe(0);
  });

  test('a slow question that nobody else waits for keeps the resident process', async () => {
    const first = await start();
    expect(await slow(3 * patienceMs)).toBe(first);
    await quick('after');
    expect(resident?.pid).toBe(first);
  });

  test('slow questions that wait for each other get a process each; beside the resident one there are at most 4', async () => {
    const crashes: string[] = [];
    await start();
    resident?.onDidCrash((reason) => crashes.push(reason));
    const gave = new AbortController();
    const asked = Array.from({ length: 7 }, () => failure(slow(blocked, gave.signal)));
    await until(() => resident?.busyProcesses === 4);
    await pause(4 * patienceMs);
    expect(resident?.busyProcesses).toBe(4);
    gave.abort();
    for (const each of asked) expect((await each).code).toBe('cancelled');
    await until(() => resident?.busyProcesses === 0);
    expect(crashes).toEqual([]);
  });

  test('a quick question behind several slow ones waits a fifth for each after the first', async () => {
    const patience = 3000;
    resident = new ResidentEngine(() => ({ enginePath }), { patienceMs: patience });
    await quick('up');
    const gave = new AbortController();
    const asked = [1, 2, 3, 4].map(() => failure(slow(30_000, gave.signal)));
    const began = performance.now();
    expect(await quick('last')).toBe('last');
    // A whole patience for each would be four of them.
    expect(performance.now() - began).toBeLessThan(3.8 * patience);
    gave.abort();
    for (const each of asked) expect((await each).code).toBe('cancelled');
    await until(() => resident?.busyProcesses === 0);
  });

  test('a given-up question holds nobody up, and its process is ended', async () => {
    const first = await start();
    const gave = new AbortController();
    const given = failure(slow(blocked, gave.signal));
    await pause(20);
    gave.abort();
    expect((await given).code).toBe('cancelled');
    expect(await quick('next')).toBe('next');
    expect(resident?.pid).not.toBe(first);
    await until(() => isGone(first));
  });

  test('a question whose first process dies is answered by the second', async () => {
    const first = await start();
    const dies = failure(slow(blocked));
    const answer = slow(500);
    await until(() => resident?.pid !== undefined && resident.pid !== first);
    process.kill(first, 'SIGKILL');
    expect((await dies).code).toBe('engine-crashed');
    expect(await answer).toBe(resident?.pid);
  });

  test('stop ends the busy processes too', async () => {
    const first = await start();
    const stopped = failure(slow(blocked));
    await quick('moves');
    const second = resident?.pid as number;
    await resident?.stop();
    expect((await stopped).code).toBe('cancelled');
    expect([first, second].map(isGone)).toEqual([true, true]);
  });
});

async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > end) throw new Error('it does not become so');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
