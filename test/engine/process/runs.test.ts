import { fork } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RunEnd, RunProcess, RunRecord } from '../../../src/protocol/client/runs/runFiles';
import { RunStore } from '../../../src/protocol/client/runs/runStore';
import type { CompressSpec, JobProgress } from '../../../src/protocol/jobs';
import type { JobLine } from '../../../src/protocol/panels/job';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

let supervisorPath: string;
let parentPath: string;
let folder: string;
let store: RunStore;

beforeAll(async () => {
  const [engine, supervisor, parent] = await Promise.all(
    ['test/engine/process/scriptedEngine.ts', 'src/engine/supervisor.ts', 'test/engine/process/runParent.ts'].map(bundleForNode),
  );
  supervisorPath = join(dirname(supervisor as string), 'supervisor.js');
  copyFileSync(supervisor as string, supervisorPath);
  copyFileSync(engine as string, join(dirname(supervisorPath), 'engine.js'));
  parentPath = parent as string;
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-runs-'));
  store = new RunStore(join(folder, 'runs'));
});
afterEach(async () => {
  for (const { id } of await store.list()) if (!(await store.end(id))) await store.cancel(id);
  for (const { id } of await store.list()) await settled(async () => (await store.end(id)) !== undefined);
  rmSync(folder, { recursive: true, force: true });
});

const out = () => join(folder, 'outputs', 'out');
const spec = (model: string): CompressSpec => ({ kind: 'compress', model, method: 'rtn', parameters: {}, format: 'hf', out: out() });
const start = (model: string, workspace = 'here'): Promise<RunRecord> =>
  store.start(
    { spec: spec(model), description: { title: `Compress ${model}`, subtitle: '', opens: 'layers' }, workspace, version: '0' },
    { supervisorPath },
  );
const processOf = ({ id }: RunRecord): RunProcess => JSON.parse(readFileSync(join(store.folder, id, 'process.json'), 'utf8')) as RunProcess;

async function settled(holds: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const end = Date.now() + limitMs; Date.now() < end;) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to that in time');
}

/** Follows a run to its end. */
function watched(
  record: RunRecord,
  using = store,
): { readonly seen: JobProgress[]; readonly lines: JobLine[]; readonly end: Promise<RunEnd> } {
  const seen: JobProgress[] = [];
  const lines: JobLine[] = [];
  const end = new Promise<RunEnd>((resolve) => {
    using.follow(record, { onProgress: (value) => seen.push(value), onLine: (line) => lines.push(line), onEnd: resolve });
  });
  return { seen, lines, end };
}

describe('a run', () => {
  test('gives its report to whoever follows, also afterwards, and its processes are gone', async () => {
    const record = await start('quick');
    const { end, lines } = watched(record);
    expect(await end).toMatchObject({ status: 'done', report: { kind: 'inspect' } });
    expect(lines.map(({ text }) => text)).toEqual(['start']);
    expect((await watched(record).end).status).toBe('done');
    await settled(() => isGone(processOf(record).supervisor.pid));
    expect(await store.list('here')).toEqual([record]);
    expect(await store.list('elsewhere')).toEqual([]);
    await store.remove(record.id);
    expect(readdirSync(store.folder)).toEqual([]);
  });

  test('outlives the process that started it; another one follows and cancels it within 2.5 s', async () => {
    const parent = fork(parentPath, [store.folder, supervisorPath, 'block', out()]);
    const id = await new Promise<string>((resolve) => parent.once('message', (message) => resolve(message as string)));
    const record = (await store.record(id)) as RunRecord;
    await settled(() => processOf(record).engine !== undefined && readdirSync(folder).includes('outputs'));
    const gone = new Promise((resolve) => parent.once('exit', resolve));
    parent.kill('SIGKILL');
    await gone;
    const { supervisor, engine } = processOf(record);
    const first = watched(record);
    const second = watched(record, new RunStore(store.folder));
    await settled(() => first.seen.length > 0 && second.seen.length > 0);
    expect(first.seen[0]?.phase).toBe('start');
    const started = Date.now();
    await store.cancel(id);
    expect((await first.end).status).toBe('cancelled');
    expect(isGone(engine!.pid)).toBe(true);
    // The one time limit that is part of the contract.
    expect(Date.now() - started).toBeLessThan(2500);
    expect((await second.end).status).toBe('cancelled');
    await settled(() => isGone(supervisor.pid));
    expect(readdirSync(dirname(out()))).toEqual([]);
    // How far it had come is kept.
    expect((await store.past(id)).progress?.phase).toBe('Cancelling');
  });

  test('whose processes were killed is interrupted, and what it had begun to write is removed', async () => {
    const record = await start('block');
    await settled(() => processOf(record).outputs.length > 0 && processOf(record).engine !== undefined);
    const { supervisor, engine } = processOf(record);
    await settled(() => existsSync(dirname(out())) && readdirSync(dirname(out())).length > 0);
    process.kill(supervisor.pid, 'SIGKILL');
    process.kill(engine!.pid, 'SIGKILL');
    const end = await watched(record).end;
    expect(end).toMatchObject({ status: 'interrupted', error: { code: 'engine-crashed' } });
    expect(readdirSync(dirname(out()))).toEqual([]);
    // The next window reads the same.
    expect(await store.end(record.id)).toEqual(end);
  });

  test('that lost its supervisor alone ends too: no process is left', async () => {
    const record = await start('polite');
    await settled(() => processOf(record).engine !== undefined);
    const { supervisor, engine } = processOf(record);
    process.kill(supervisor.pid, 'SIGKILL');
    expect((await watched(record).end).status).toBe('interrupted');
    await settled(() => isGone(engine!.pid));
  });

  test('is interrupted, not cancelled, when the system ends', async () => {
    const record = await start('polite');
    await settled(() => processOf(record).engine !== undefined);
    process.kill(processOf(record).supervisor.pid, 'SIGHUP');
    process.kill(processOf(record).supervisor.pid, 'SIGTERM');
    expect((await watched(record).end).status).toBe('interrupted');
  });

  test('ends when its folder is removed: nobody could find it again', async () => {
    const record = await start('polite');
    await settled(() => processOf(record).engine !== undefined);
    const { supervisor, engine } = processOf(record);
    rmSync(join(store.folder, record.id), { recursive: true });
    await settled(() => isGone(engine!.pid) && isGone(supervisor.pid));
  });

  test('a process id that was given out again is not taken for the supervisor', async () => {
    const record = await start('polite');
    const path = join(store.folder, record.id, 'process.json');
    const known = processOf(record);
    const { end } = watched(record);
    // This process has the id, but did not start then.
    writeFileSync(path, JSON.stringify({ ...known, supervisor: { ...known.supervisor, pid: process.pid } }));
    expect((await end).status).toBe('interrupted');
    await store.cancel(record.id);
    await settled(() => isGone(known.supervisor.pid));
  });

  test('of another format shows its title and its end', async () => {
    const record = await start('quick');
    await watched(record).end;
    writeFileSync(
      join(store.folder, record.id, 'run.json'),
      JSON.stringify({ ...record, format: 99, spec: 7, description: 'x', version: '9.0.0' }),
    );
    const [other] = await store.list();
    expect(other?.description).toEqual({ title: 'Compress quick', subtitle: 'started by Loomweight 9.0.0', opens: 'progress' });
    expect((await watched(other as RunRecord).end).status).toBe('done');
  });

  test('with damaged files is left out or interrupted, never an error', async () => {
    const record = await start('quick');
    await watched(record).end;
    const place = join(store.folder, record.id);
    for (const name of ['end.json', 'process.json', 'progress.json', 'log.ndjson']) writeFileSync(join(place, name), '{"status": ');
    writeFileSync(join(place, 'run.json'), JSON.stringify({ ...record, startedAt: new Date(Date.now() - 120_000).toISOString() }));
    const [old] = await store.list();
    expect((await watched(old as RunRecord).end).status).toBe('interrupted');
    writeFileSync(join(place, 'run.json'), 'nonsense');
    mkdirSync(join(store.folder, 'not-a-run'));
    expect(await store.list()).toEqual([]);
  });

  test("is the user's alone", async () => {
    // On Windows the folders of a user are protected by what they inherit.
    if (process.platform === 'win32') return;
    mkdirSync(store.folder);
    chmodSync(store.folder, 0o777);
    const record = await start('quick');
    await watched(record).end;
    const mode = (path: string) => statSync(path).mode & 0o077;
    const place = join(store.folder, record.id);
    expect(mode(store.folder)).toBe(0);
    expect(mode(place)).toBe(0);
    for (const name of readdirSync(place)) expect(mode(join(place, name)), name).toBe(0);
  });
});

test('a supervisor that does not come up is an error with what it printed, and leaves nothing', async () => {
  const broken = join(folder, 'broken.js');
  writeFileSync(broken, "console.error('no such module'); process.exit(3);");
  const request = {
    spec: spec('quick'),
    description: { title: 'x', subtitle: '', opens: 'layers' as const },
    workspace: 'here',
    version: '0',
  };
  const error = await failure(store.start(request, { supervisorPath: broken }));
  expect(error.code).toBe('engine-crashed');
  expect(error.message).toContain('exit code 3');
  expect(error.message).toContain('no such module');
  expect(readdirSync(store.folder)).toEqual([]);
});

test('the oldest of the ended runs are forgotten, never one that runs', async () => {
  mkdirSync(store.folder, { recursive: true });
  const running = await start('polite');
  for (let index = 0; index < 110; index += 1) {
    const id = `a${index.toString(36).padStart(3, '0')}-00000000`;
    mkdirSync(join(store.folder, id));
    writeFileSync(join(store.folder, id, 'run.json'), JSON.stringify({ ...running, id, startedAt: new Date(index).toISOString() }));
    writeFileSync(join(store.folder, id, 'end.json'), JSON.stringify({ status: 'done', endedAt: '' }));
  }
  const last = await start('quick');
  await watched(last).end;
  await settled(async () => (await store.list()).length <= 102);
  const ids = (await store.list()).map(({ id }) => id);
  expect(ids).toContain(running.id);
  expect(ids).toContain('a031-00000000');
  expect(ids).not.toContain('a000-00000000');
});
