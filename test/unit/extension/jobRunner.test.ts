import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { EngineHost } from '../../../src/extension/engineHost/engineHost';
import type { Messages } from '../../../src/extension/messages';
import { JobHistory } from '../../../src/extension/jobs/jobHistory';
import { JobRunner } from '../../../src/extension/jobs/jobRunner';
import type { JobRuns } from '../../../src/extension/jobs/jobRuns';
import type { RunListener } from '../../../src/protocol/client/runs/followRun';
import type { RunEnd, RunRecord } from '../../../src/protocol/client/runs/runFiles';
import type { JobState } from '../../../src/protocol/jobs';
import { compressJob, compressReport, compressSpec } from '../../support/jobSamples';

const editor = vi.hoisted(() => ({ shown: [] as string[], cancel: () => undefined as void }));

vi.mock('vscode', () => {
  const show = async (text: string) => void editor.shown.push(text);
  return {
    ProgressLocation: { Notification: 15 },
    commands: { executeCommand: async () => undefined },
    window: {
      showInformationMessage: show,
      showWarningMessage: show,
      withProgress: (_options: unknown, task: (progress: unknown, token: unknown) => unknown) =>
        task({ report: () => undefined }, { onCancellationRequested: (cancel: () => void) => (editor.cancel = cancel) }),
    },
  };
});

/** Runs in memory: their folder is real, so that it can be watched. */
class Runs implements JobRuns {
  readonly records: RunRecord[] = [];
  readonly listeners: { readonly id: string; readonly listener: RunListener }[] = [];
  readonly ends = new Map<string, RunEnd>();
  readonly cancelled: string[] = [];
  /** Milliseconds from a run's record until its process has begun. */
  startMs = 0;

  constructor(private readonly folder: string) {}

  record(id: string, startedAt: string): RunRecord {
    const { description } = compressJob;
    return { format: 1, id, workspace: '', title: description.title, startedAt, version: '1', spec: compressSpec, description };
  }
  async start(): Promise<RunRecord> {
    const record = this.record('own', new Date().toISOString());
    this.records.unshift(record);
    mkdirSync(join(this.folder, record.id));
    await new Promise((resolve) => setTimeout(resolve, this.startMs));
    return record;
  }
  end(id: string, end: RunEnd): void {
    this.ends.set(id, end);
    for (const followed of this.listeners) if (followed.id === id) followed.listener.onEnd(end);
  }
  follow({ id }: RunRecord, listener: RunListener) {
    this.listeners.push({ id, listener });
    const end = this.ends.get(id);
    if (end) queueMicrotask(() => listener.onEnd(end));
    return { dispose: () => undefined };
  }
  prepare = async () => this.folder;
  list = async () => [...this.records];
  cancel = async (id: string) => void this.cancelled.push(id);
  remove = async () => undefined;
  past = async () => ({ lines: [] });
}

const done = (endedAt: string): RunEnd => ({ status: 'done', endedAt, report: compressReport });
const failed = (endedAt: string): RunEnd => ({ status: 'failed', endedAt, error: { code: 'runtime', message: 'No.' } });
const before = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
const passes = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('the jobs that a window follows', () => {
  let folder: string;
  let runs: Runs;
  let errors: string[];
  let refreshed: number;
  const open = (kept: readonly JobState[] = []) => {
    const history = new JobHistory({ get: () => kept, set: () => undefined });
    const engine = { ask: async (method: string) => (method === 'describeJob' ? compressJob.description : { outcome: '5 bits' }) };
    const messages = { showError: (error: Error) => errors.push(error.message) };
    const runner = new JobRunner(engine as unknown as EngineHost, history, runs, messages as unknown as Messages, () => (refreshed += 1));
    return { history, runner };
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'loomweight-runs-'));
    runs = new Runs(folder);
    editor.shown = [];
    errors = [];
    refreshed = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('a job of its own is followed and announced once, although the watcher finds it before it has begun', async () => {
    const { history, runner } = open();
    await runner.attach();
    runs.startMs = 1200;
    const ended = runner.run(compressSpec);
    await passes(1000);
    expect(runs.listeners.map(({ id }) => id)).toEqual(['own']);
    await passes(400);
    expect(runs.listeners.map(({ id }) => id)).toEqual(['own']);
    // Cancel of the notification reaches what is followed: late progress no longer shows.
    editor.cancel();
    await passes(0);
    expect(runs.cancelled).toEqual(['own']);
    runs.listeners[0]?.listener.onProgress?.({ phase: 'Quantising', done: 1, unit: 'layers', elapsedSeconds: 1, rssBytes: 1 });
    expect(history.get('own')?.progress?.phase).toBe('Cancelling');
    runs.end('own', done(new Date().toISOString()));
    expect(await ended).toMatchObject({ id: 'own', status: 'done', outcome: '5 bits' });
    writeFileSync(join(folder, 'own', 'later'), '');
    mkdirSync(join(folder, 'another'));
    await passes(700);
    expect(runs.listeners).toHaveLength(1);
    expect(editor.shown).toHaveLength(1);
    runner.dispose();
  });

  test('a short job that ended before its start was known is announced once, and run resolves', async () => {
    const { runner } = open();
    await runner.attach();
    runs.startMs = 1200;
    const ended = runner.run(compressSpec);
    await passes(1000);
    runs.end('own', done(new Date().toISOString()));
    expect(await ended).toMatchObject({ id: 'own', status: 'done' });
    expect(runs.listeners).toHaveLength(1);
    expect(editor.shown).toHaveLength(1);
    runner.dispose();
  });

  test('what ended before the window opened is listed in silence; what its history knew as running, or ends later, is announced', async () => {
    const add = (id: string, minutes: number, end?: (endedAt: string) => RunEnd) => {
      runs.records.push(runs.record(id, before(minutes)));
      if (end) runs.ends.set(id, end(before(minutes - 1)));
    };
    add('running', 10);
    add('done', 20, done);
    add('failed', 30, failed);
    add('interrupted', 40, (endedAt) => ({ status: 'interrupted', endedAt }));
    add('known', 50, done);
    const { history, runner } = open([{ ...compressJob, id: 'known', startedAt: before(50) }]);
    await runner.attach();
    await passes(50);
    expect(history.list().map(({ id, status, outcome }) => [id, status, outcome])).toEqual([
      ['running', 'running', undefined],
      ['done', 'done', '5 bits'],
      ['failed', 'failed', undefined],
      ['interrupted', 'interrupted', undefined],
      ['known', 'done', '5 bits'],
    ]);
    expect([editor.shown.length, errors, refreshed]).toEqual([1, [], 1]);
    runs.end('running', failed(new Date().toISOString()));
    await passes(0);
    expect(errors).toEqual(['No.']);
    runner.dispose();
  });

  test('runs beyond those that the history keeps are not followed, now or when the folder changes', async () => {
    for (let index = 0; index < 60; index += 1) {
      runs.records.push(runs.record(`run-${index}`, before(10 + index)));
      runs.ends.set(`run-${index}`, done(before(9 + index)));
    }
    const { history, runner } = open();
    await runner.attach();
    await passes(50);
    mkdirSync(join(folder, 'another'));
    await passes(700);
    expect(runs.listeners).toHaveLength(40);
    expect(history.list().every(({ status }) => status === 'done')).toBe(true);
    expect(editor.shown).toEqual([]);
    runner.dispose();
  });
});
