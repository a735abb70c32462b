import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Journal, type JournalEntry } from '../../../src/engine/services/journal';
import { markOf } from '../../../src/protocol/client/runs/processMark';
import { temporaryName } from '../../../src/protocol/client/temporaryNames';
import { LoomweightError, cancelledError } from '../../../src/protocol/errors';
import type { InspectSpec } from '../../../src/protocol/jobs';
import { writeInto } from '../../support/formatFiles';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-journal-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string, text = 'x') => writeInto(folder, path, text);

/** The fields of an entry that another process of this machine wrote. */
const ofProcess = ({ mark }: JournalEntry, pid: number) => ({ pid, mark: { ...mark!, pid } });

describe('journal', () => {
  const spec: InspectSpec = { kind: 'inspect', model: 'm' };

  test('remembers how runs ended, newest first', async () => {
    const journal = new Journal(join(folder, 'state'));
    await journal.end(await journal.begin(spec, []));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await journal.end(await journal.begin(spec, []), cancelledError());
    await new Promise((resolve) => setTimeout(resolve, 5));
    await journal.end(await journal.begin(spec, []), new LoomweightError('io', 'no'));
    expect((await journal.entries()).map(({ status }) => status)).toEqual(['failed', 'cancelled', 'done']);
  });

  test('cleans up after a process that died, and only after that', async () => {
    const journal = new Journal(join(folder, 'state'));
    const dead = 4194303;
    const out = join(folder, 'out');
    const mine = join(folder, temporaryName('out', 'ab'));
    const theirs = mine.replace(`-${process.pid}-`, `-${dead}-`);
    const other = join(folder, temporaryName('other', 'ab').replace(`-${process.pid}-`, `-${dead}-`));
    for (const path of [mine, theirs, other]) mkdirSync(path);
    const entry = await journal.begin(spec, [out]);
    write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, ...ofProcess(entry, dead) }));
    await journal.begin(spec, [out]);
    expect(await journal.recover()).toEqual([theirs]);
    expect([mine, theirs, other].map((path) => existsSync(path))).toEqual([true, false, true]);
    const statuses = (await journal.entries()).map(({ status }) => status).sort();
    expect(statuses).toEqual(['failed', 'running']);
  });

  test('an entry of another machine or container stays as it is', async () => {
    const journal = new Journal(join(folder, 'state'));
    const theirs = join(folder, temporaryName('out', 'ab').replace(`-${process.pid}-`, '-4194303-'));
    mkdirSync(theirs);
    const entry = await journal.begin(spec, [join(folder, 'out')]);
    for (const elsewhere of [
      { machine: `${entry.mark!.machine}1` },
      ...(entry.mark!.namespace === undefined ? [] : [{ namespace: '17' }]),
    ]) {
      const { pid, mark } = ofProcess(entry, 4194303);
      write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, pid, mark: { ...mark, ...elsewhere } }));
      expect(await journal.recover()).toEqual([]);
      expect((await journal.entries()).map(({ status }) => status)).toEqual(['running']);
    }
  });

  test('an entry of a process whose id another one has now is cleaned up', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)']);
    try {
      const pid = child.pid!;
      const journal = new Journal(join(folder, 'state'));
      const theirs = join(folder, temporaryName('out', 'ab').replace(`-${process.pid}-`, `-${pid}-`));
      mkdirSync(theirs);
      const entry = await journal.begin(spec, [join(folder, 'out')]);
      const place = join('state', `${entry.id}.json`);
      write(place, JSON.stringify({ ...entry, pid, mark: markOf(pid) }));
      expect(await journal.recover()).toEqual([]);
      // Start times are known on Linux only.
      write(place, JSON.stringify({ ...entry, pid, mark: { ...markOf(pid), startTicks: '1' } }));
      expect(await journal.recover()).toEqual(process.platform === 'linux' ? [theirs] : []);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('an entry whose mark is damaged is left alone', async () => {
    const journal = new Journal(join(folder, 'state'));
    const entry = await journal.begin(spec, [join(folder, 'out')]);
    for (const mark of ['x', 7, null, {}, { ...entry.mark, pid: 'x' }]) {
      write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, mark }));
      expect(await journal.recover()).toEqual([]);
    }
  });

  test('an entry of an earlier version, with paths alone, is cleaned up too', async () => {
    const journal = new Journal(join(folder, 'state'));
    const theirs = join(folder, temporaryName('out', 'ab').replace(`-${process.pid}-`, '-4194303-'));
    mkdirSync(theirs);
    const { mark: _, ...entry } = await journal.begin(spec, []);
    write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, pid: 4194303, outputs: [join(folder, 'out')] }));
    expect(await journal.recover()).toEqual([theirs]);
  });

  test('a damaged entry and a folder that cannot be written are harmless', async () => {
    write('state/bad.json', '{');
    write('state/odd.json', '{"id":"other"}');
    expect(await new Journal(join(folder, 'state')).entries()).toEqual([]);
    const blocked = new Journal(join(write('file'), 'below'));
    await blocked.end(await blocked.begin(spec, []));
    expect(await blocked.entries()).toEqual([]);
  });
});
