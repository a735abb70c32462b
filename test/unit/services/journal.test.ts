import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Journal } from '../../../src/engine/services/journal';
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
    write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, pid: dead }));
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
    expect(entry.machine).toBeDefined();
    write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, pid: 4194303, machine: `${entry.machine}1` }));
    expect(await journal.recover()).toEqual([]);
    expect((await journal.entries()).map(({ status }) => status)).toEqual(['running']);
  });

  test('an entry of an earlier version, with paths alone, is cleaned up too', async () => {
    const journal = new Journal(join(folder, 'state'));
    const theirs = join(folder, temporaryName('out', 'ab').replace(`-${process.pid}-`, '-4194303-'));
    mkdirSync(theirs);
    const entry = await journal.begin(spec, []);
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
