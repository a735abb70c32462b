import { fork } from 'node:child_process';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { EngineProcess } from '../../../src/protocol/client/engineProcess';
import type { LoomweightError } from '../../../src/protocol/errors';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

let enginePath: string;
const started: EngineProcess[] = [];

beforeAll(async () => {
  enginePath = await bundleForNode('test/engine/process/scriptedEngine.ts');
});
afterEach(async () => {
  for (const engine of started.splice(0)) await engine.kill();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<EngineProcess> {
  const engine = await EngineProcess.start({ enginePath, env });
  started.push(engine);
  return engine;
}

describe('the channel', () => {
  test('transfers arguments, results and typed arrays', async () => {
    const engine = await start();
    const picture = await engine.call('picture', { model: 'm', tensor: 't', width: 600, height: 500 });
    expect(picture.levels).toBeInstanceOf(Uint8Array);
    expect(picture.levels.length).toBe(300_000);
    expect(picture.levels.every((level) => level === 7)).toBe(true);
  });

  test('transfers errors with code and details', async () => {
    const engine = await start();
    const error = await failure(engine.call('inspect', { model: 'a.safetensors' }));
    expect(error).toMatchObject({ code: 'malformed-file', message: 'bad header in a.safetensors', details: { offset: 8 } });
  });

  test('cancels one call and leaves the process usable', async () => {
    const engine = await start();
    const controller = new AbortController();
    const waiting = failure(engine.call('devices', {}, { signal: controller.signal }));
    const other = engine.call('checkRecipe', { file: 'f', text: 'still here' });
    controller.abort();
    expect((await waiting).code).toBe('cancelled');
    expect((await other)[0]?.message).toBe('still here');
    expect((await engine.call('checkRecipe', { file: 'f', text: 'again' }))[0]?.message).toBe('again');
  });

  test('an aborted signal does not even start a call', async () => {
    const engine = await start();
    expect((await failure(engine.call('devices', {}, { signal: AbortSignal.abort() }))).code).toBe('cancelled');
  });
});

describe('the handshake', () => {
  test('refuses an engine of another protocol', async () => {
    const error = await failure(EngineProcess.start({ enginePath, env: { SCRIPTED_PROTOCOL: '999' } }));
    expect(error.code).toBe('protocol-mismatch');
    expect(error.message).toMatch(/uses protocol 999, but this side uses \d+\. Reinstall Loomweight/);
  });

  test('is refused by the engine if the caller uses another protocol', async () => {
    const engine = await start();
    const error = await failure(engine.call('handshake', { protocol: 0 }));
    expect(error.code).toBe('protocol-mismatch');
    expect(error.message).toContain('its caller uses 0');
  });

  test('reports how an engine ended that fails to start', async () => {
    const error = await failure(EngineProcess.start({ enginePath, env: { SCRIPTED_CRASH: 'start' } }));
    expect(error.code).toBe('engine-crashed');
    expect(error.message).toContain('exit code 3');
  });

  test('reports that the engine is missing', async () => {
    const error = await failure(EngineProcess.start({ enginePath: '/nowhere/engine.js' }));
    expect(error.code).toBe('engine-crashed');
    expect(error.message).toContain('exit code 1');
  });
});

describe('a process that dies', () => {
  test('rejects every pending call with the signal and the last output', async () => {
    const engine = await start();
    const pending = failure(engine.call('devices', {}));
    const error: LoomweightError = await failure(engine.call('methods', {}));
    expect(error.code).toBe('engine-crashed');
    expect(error.message).toContain('SIGABRT');
    expect((error.details as { output: string[] }).output.join('\n')).toContain('about to fail');
    expect((await pending).code).toBe('engine-crashed');
    expect((await failure(engine.call('devices', {}))).code).toBe('engine-crashed');
  });

  test('killed from outside: the message names SIGKILL', async () => {
    const engine = await start();
    const pending = failure(engine.call('devices', {}));
    process.kill(engine.pid as number, 'SIGKILL');
    expect((await pending).message).toMatch(/ended by signal SIGKILL during 'devices'.*killed by another process/);
  });
});

test('the process ends by itself when its channel closes', async () => {
  const engine = await start();
  const pid = engine.pid as number;
  await engine.stop(5000);
  expect(isGone(pid)).toBe(true);
  expect(await engine.exited).toEqual({ exitCode: 0, signal: undefined });
});

test('the process ends when its parent is killed', async () => {
  const parent = await bundleForNode('test/engine/process/shortLivedParent.ts');
  const child = fork(parent, [enginePath], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const pid = await new Promise<number>((resolve) => child.once('message', (message) => resolve(message as number)));
  expect(isGone(pid)).toBe(false);
  child.kill('SIGKILL');
  await vi.waitFor(() => expect(isGone(pid)).toBe(true), { timeout: 10_000 });
});
