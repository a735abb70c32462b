import { describe, expect, test } from 'vitest';
import type { JobState } from '../../../src/protocol/jobs';
import { JobHistory } from '../../../src/extension/jobs/jobHistory';
import { jobTitle, modelName, outcomeText, progressFraction, progressText } from '../../../src/extension/jobs/jobText';
import { bitAllocationView } from '../../../src/extension/reports/bitAllocationView';
import { jobDocument } from '../../../src/extension/reports/jobDocument';
import { compressReport, compressJob, progress } from './samples';

class Storage {
  kept: readonly JobState[] = [];
  get = () => this.kept;
  set = (jobs: readonly JobState[]) => (this.kept = jobs);
}

describe('the history of jobs', () => {
  test('survives the window: finished jobs with their reports, running ones as interrupted', () => {
    const storage = new Storage();
    const first = new JobHistory(storage);
    first.add({ ...compressJob, id: 'done' });
    first.update('done', { status: 'done', report: compressReport });
    first.add({ ...compressJob, id: 'running' });
    const second = new JobHistory(storage);
    expect(second.list().map(({ id, status, report }) => [id, status, report?.kind])).toEqual([
      ['running', 'failed', undefined],
      ['done', 'done', 'compress'],
    ]);
    expect(second.get('running')?.error?.message).toContain('window was closed');
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

describe('words about jobs', () => {
  test.each([
    ['/models/loom-base/model.safetensors', 'loom-base'],
    ['C:\\models\\loom-base\\model.safetensors', 'loom-base'],
    ['/models/small.gguf', 'small.gguf'],
    ['/models/loom-base', 'loom-base'],
  ])('%s is called %s', (path, name) => expect(modelName(path)).toBe(name));

  test('titles, progress and outcomes read as sentences', () => {
    expect(jobTitle(compressJob.spec)).toBe('Compress loom-base');
    expect(progressText(progress)).toBe('Quantising 1 of 4 layers, 1 min 30 s left');
    expect(progressFraction(progress)).toBe(0.25);
    expect(progressFraction(undefined)).toBeUndefined();
    expect(outcomeText({ ...compressJob, status: 'done', report: compressReport })).toBe('5 bits · 2.00 MiB');
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

  test('a compress report names checks with measure and limit', () => {
    const document = jobDocument({ ...compressJob, status: 'done', report: compressReport });
    expect(document.verdict).toEqual({ state: 'passed', text: 'Verified' });
    expect(document.sections[0]).toMatchObject({
      kind: 'checks',
      items: [{ state: 'passed', title: 'Logits as planned, exact kernels', text: '3.000e-5 absolute, limit 0.001' }],
    });
    expect(document.figures.map(({ value }) => value)).toEqual(['2.00 MiB', '4 ×', '5']);
  });

  test('a failed job says why', () => {
    const document = jobDocument({ ...compressJob, status: 'failed', error: { code: 'insufficient-disk', message: 'The disk is full.' } });
    expect(document.verdict?.state).toBe('failed');
    expect(document.sections[0]).toMatchObject({ paragraphs: ['The disk is full.'] });
  });

  test('an accuracy is a percentage, a perplexity is not', () => {
    const shared = {
      kind: 'evaluate' as const,
      loss: 0.1,
      choices: [],
      environment: compressReport.environment,
      seconds: 1,
      peakRssBytes: 1,
    };
    const spec = { kind: 'evaluate' as const, model: '/m/a', text: '/t/b.txt' };
    const show = (metric: 'accuracy' | 'perplexity', value: number) =>
      jobDocument({ ...compressJob, spec, status: 'done', report: { ...shared, metric, value } }).figures[0]?.value;
    expect(show('accuracy', 0.9625)).toBe('96.25 %');
    expect(show('perplexity', 97.4911)).toBe('97.491');
  });
});
