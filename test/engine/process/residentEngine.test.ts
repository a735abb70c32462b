import { afterEach, beforeAll, expect, test } from 'vitest';
import { ResidentEngine } from '../../../src/protocol/client/residentEngine';
import { bundleForNode } from '../../support/bundle';
import { failure } from './processSupport';

let enginePath: string;
let resident: ResidentEngine | undefined;

beforeAll(async () => {
  enginePath = await bundleForNode('test/engine/process/scriptedEngine.ts');
});
afterEach(async () => resident?.stop());

test('starts with the first request, keeps the process, starts another after a kill', async () => {
  resident = new ResidentEngine(() => ({ enginePath }));
  expect(await resident.pid()).toBeUndefined();
  await resident.call('checkRecipe', { file: 'f', text: 'one' });
  const first = await resident.pid();
  await resident.call('checkRecipe', { file: 'f', text: 'two' });
  expect(await resident.pid()).toBe(first);
  const crashed = new Promise((resolve) => resident?.onDidCrash(resolve));
  process.kill(first as number, 'SIGKILL');
  expect(await crashed).toContain('SIGKILL');
  expect((await resident.call('checkRecipe', { file: 'f', text: 'three' }))[0]?.message).toBe('three');
  expect(await resident.pid()).not.toBe(first);
});

test('gives up after 4 crashes in 3 minutes and starts again after that time', async () => {
  let time = 0;
  resident = new ResidentEngine(
    () => ({ enginePath }),
    () => time,
  );
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
