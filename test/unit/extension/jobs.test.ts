import { describe, expect, test } from 'vitest';
import type { JobSpec, JobState } from '../../../src/protocol/jobs';
import { JobHistory } from '../../../src/extension/jobs/jobHistory';
import { outcomeText, plainDescription, progressFraction, progressText, statusText } from '../../../src/extension/jobs/jobText';
import { bitAllocationView } from '../../../src/extension/reports/bitAllocationView';
import { jobWithoutReport } from '../../../src/extension/reports/jobDocument';
import { compressJob, compressReport, compressSpec, learnJob, progress } from '../../support/jobSamples';

class Storage {
  kept: readonly JobState[] = [];
  get = () => this.kept;
  set = (jobs: readonly JobState[]) => (this.kept = jobs);
}

describe('the history of jobs', () => {
  test('survives the window: finished jobs keep their reports, running ones wait for their runs to say how they are', () => {
    const storage = new Storage();
    const first = new JobHistory(storage);
    first.add({ ...compressJob, id: 'done' });
    first.update('done', { status: 'done', report: compressReport });
    first.add({ ...compressJob, id: 'running' });
    const second = new JobHistory(storage);
    expect(second.list().map(({ id, status, report }) => [id, status, report?.kind])).toEqual([
      ['running', 'running', undefined],
      ['done', 'done', 'compress'],
    ]);
  });

  test('an ended job of an earlier window gets its curves and messages back from its run, once the runs are known', async () => {
    const lines = [{ seconds: 1, level: 'info' as const, text: 'Quantising' }];
    const storage = Object.assign(new Storage(), { past: async () => ({ progress, lines }) });
    storage.set([{ ...compressJob, status: 'running' }]);
    const history = new JobHistory(storage);
    history.readAfter(Promise.resolve().then(() => history.update(compressJob.id, { status: 'interrupted' })));
    await history.recallPast(compressJob.id);
    expect(history.get(compressJob.id)).toMatchObject({ status: 'interrupted', progress });
    expect(history.linesOf(compressJob.id)).toEqual(lines);
    // What is not known stays so.
    await history.recallPast('another');
    expect(history.list()).toHaveLength(1);
  });

  test('a job that was found again has its place by time', () => {
    const history = new JobHistory(new Storage());
    history.add({ ...compressJob, id: 'new', startedAt: '2026-01-02T00:00:00.000Z' });
    history.add({ ...compressJob, id: 'old', startedAt: '2026-01-01T00:00:00.000Z' });
    history.add({ ...compressJob, id: 'new', startedAt: '2026-01-02T00:00:00.000Z' });
    expect(history.list().map(({ id }) => id)).toEqual(['new', 'old']);
  });

  test('progress reaches listeners without being written', () => {
    const storage = new Storage();
    const history = new JobHistory(storage);
    history.add(compressJob);
    const heard: (string | undefined)[] = [];
    history.onDidChange((job) => heard.push(job?.progress?.phase));
    history.update(compressJob.id, { progress });
    expect(heard).toEqual(['Quantising']);
    expect(storage.kept[0]?.progress).toBeUndefined();
  });

  test('keeps the newest forty, and leaves huge reports to the output folder', () => {
    const storage = new Storage();
    const history = new JobHistory(storage);
    for (let index = 0; index < 50; index += 1) history.add({ ...compressJob, id: `job-${index}` });
    expect(history.list()).toHaveLength(40);
    const huge = { ...compressReport, notes: ['x'.repeat(500_000)] };
    history.update('job-49', { status: 'done', report: huge });
    expect(storage.kept[0]?.report).toBeUndefined();
    expect(history.get('job-49')?.report).toBe(huge);
  });
});

describe('texts about jobs', () => {
  test('progress and outcomes read as sentences', () => {
    expect(progressText(progress)).toBe('Quantising 1 of 4 layers, 1 min 30 s left');
    expect(progressFraction(progress)).toBe(0.25);
    expect(progressFraction(undefined)).toBeUndefined();
    expect(outcomeText({ ...compressJob, status: 'done', outcome: '5 bits · 2.00 MiB' })).toBe('5 bits · 2.00 MiB');
    expect(outcomeText({ ...compressJob, status: 'cancelled' })).toBe('cancelled');
  });

  test('a job of an older history is described from its specification and report', () => {
    const { description: _description, ...old } = { ...compressJob, status: 'done' as const, report: compressReport };
    const [job] = new JobHistory({ get: () => [old as unknown as JobState], set: () => undefined }).list();
    expect(job?.description).toEqual({
      title: 'Compress loom-base',
      subtitle: '/models/loom-base',
      output: '/out',
      model: { source: 'loom-base', method: 'rtn' },
      opens: 'layers',
    });
    expect(plainDescription({ ...compressSpec, kind: 'later' } as JobSpec)).toMatchObject({ title: 'Later loom-base', opens: 'report' });
  });

  test('an interrupted job states what it left', () => {
    expect(statusText({ ...compressJob, status: 'cancelled' })).toBe('cancelled; nothing unfinished was kept');
    expect(statusText({ ...learnJob, status: 'cancelled' })).toContain('checkpoint');
    expect(statusText({ ...compressJob, status: 'interrupted' })).toBe('interrupted: its process is gone; nothing unfinished was kept');
    expect(statusText({ ...learnJob, status: 'interrupted' })).toContain('checkpoint');
  });
});

describe('what panels show of a job', () => {
  test('bit allocation fills from progress, then shows the report', () => {
    const running = bitAllocationView({ ...compressJob, progress });
    expect(running).toMatchObject({ status: 'running', fraction: 0.25, bytesBefore: 2000, bytesAfter: 625, bitsPerWeight: 5 });
    const done = bitAllocationView({ ...compressJob, status: 'done', report: compressReport });
    expect(done).toMatchObject({ status: 'done', bytesBefore: 8 * 1024 ** 2, bitsPerWeight: 5 });
    expect(done?.notes[0]).toBe('Verified: 1 checks passed (whole).');
  });

  test('a failed job says why', () => {
    const document = jobWithoutReport({
      ...compressJob,
      status: 'failed',
      error: { code: 'insufficient-disk', message: 'The disk is full.' },
    });
    expect(document.verdict?.state).toBe('failed');
    expect(document.sections[0]).toMatchObject({ paragraphs: ['The disk is full.'] });
  });
});
