import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { refuseOwned } from '../../../src/engine/train/checkpointOwner';
import { markOf } from '../../../src/protocol/client/runs/processMark';
import { finalState } from '../../support/finalState';
import { test } from '../../support/fixtures';
import { digitsSpec, trainWith } from '../../support/trainDigits';

const ownerFile = (folder: string) => join(folder, 'owner.json');
const refused = {
  code: 'invalid-argument',
  message: expect.stringMatching(/Another training \(process \d+ on .+\) is writing its checkpoint/),
};

describe('one training writes into a checkpoint folder', () => {
  test('a second one is refused while the first trains; the first ends as if it had been alone', async ({ folder, runtime }) => {
    const job = digitsSpec({ steps: 40, batch: 8, evaluateEvery: 10 });
    await trainWith(job, runtime, { checkpointFolder: join(folder, 'alone') });
    const shared = join(folder, 'shared');
    const others: Promise<unknown>[] = [];
    const first = await trainWith(job, runtime, {
      checkpointFolder: shared,
      progress: ({ phase, done }) => {
        if (phase !== 'Evaluating' || others.length > 1) return;
        expect(done).toBeGreaterThan(0);
        for (const changes of [{ seed: 2 }, { seed: 2, startOver: true }, { resume: true }])
          others.push(trainWith({ ...job, ...changes }, runtime, { checkpointFolder: shared }).catch((error: unknown) => error));
        others.push(refuseOwned(shared).catch((error: unknown) => error));
      },
    });
    for (const error of await Promise.all(others)) expect(error).toMatchObject(refused);
    expect(others).toHaveLength(4);
    expect(await finalState(shared)).toEqual(await finalState(join(folder, 'alone')));
    // It is given back with the training, and the checkpoint can be resumed.
    expect(existsSync(ownerFile(shared))).toBe(false);
    const resumed = await trainWith({ ...job, resume: true }, runtime, { checkpointFolder: shared });
    expect(resumed.resumedFrom).toBe(40);
    await Promise.all([first.discardCheckpoint(), resumed.discardCheckpoint()]);
    expect(existsSync(shared)).toBe(false);
  });

  test('a training whose folder was taken by another one stops without writing into it', async ({ folder, runtime }) => {
    const job = digitsSpec({ steps: 40, batch: 8, evaluateEvery: 10 });
    const other = { pid: 1, machine: 'elsewhere', token: 'of another' };
    let manifest = '';
    const taken = trainWith(job, runtime, {
      checkpointFolder: folder,
      progress: ({ phase, done }) => {
        if (phase !== 'Evaluating' || done !== 20) return;
        manifest = readFileSync(join(folder, 'checkpoint.json'), 'utf8');
        writeFileSync(ownerFile(folder), JSON.stringify(other));
      },
    });
    await expect(taken).rejects.toMatchObject(refused);
    expect(readFileSync(join(folder, 'checkpoint.json'), 'utf8')).toBe(manifest);
    expect(JSON.parse(readFileSync(ownerFile(folder), 'utf8'))).toEqual(other);
  });

  test('the file of a process that has ended, or that another machine has stopped touching, is replaced', async ({ folder, runtime }) => {
    const job = digitsSpec({ steps: 4, batch: 8, resume: true });
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const ended = once(child, 'exit');
    const mark = markOf(child.pid as number);
    const train = () => trainWith(job, runtime, { checkpointFolder: folder });
    writeFileSync(ownerFile(folder), JSON.stringify({ ...mark, token: 'a' }));
    await expect(train()).rejects.toMatchObject(refused);
    child.kill('SIGKILL');
    await ended;
    await train();
    // The same process id, given out again.
    writeFileSync(ownerFile(folder), JSON.stringify({ pid: process.pid, machine: hostname(), startTicks: '1', token: 'b' }));
    if (process.platform === 'linux') await train();
    writeFileSync(ownerFile(folder), JSON.stringify({ pid: process.pid, machine: 'elsewhere', token: 'c' }));
    await expect(train()).rejects.toMatchObject(refused);
    const before = new Date(Date.now() - 10 * 60_000);
    utimesSync(ownerFile(folder), before, before);
    await train();
    expect(existsSync(ownerFile(folder))).toBe(false);
  });

  test('a file that was removed is made anew; a training that never wrote leaves no folder', async ({ folder, runtime }) => {
    const kept = join(folder, 'kept');
    let found = false;
    await trainWith(digitsSpec({ steps: 30, batch: 8, evaluateEvery: 10 }), runtime, {
      checkpointFolder: kept,
      progress: ({ phase, done }) => {
        if (phase === 'Evaluating' && done === 10) unlinkSync(ownerFile(kept));
        if (phase === 'Evaluating' && done === 20) found = existsSync(ownerFile(kept));
      },
    });
    expect(found).toBe(true);
    const never = trainWith(digitsSpec({ steps: 30, resume: true, method: 'float' }), runtime, {
      checkpointFolder: join(folder, 'a', 'b'),
      progress: () => {
        throw new Error('stopped');
      },
    });
    await expect(never).rejects.toThrow('stopped');
    expect(readdirSync(folder)).toEqual(['kept']);
  });
});
