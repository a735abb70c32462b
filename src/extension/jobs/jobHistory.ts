import type { Disposable } from '../../common/disposables';
import { Emitter } from '../../common/events';
import type { JobState } from '../../protocol/jobs';
import type { JobLine } from '../../protocol/panels/job';
import type { JobReport } from '../../protocol/report';
import { modelReportOf } from '../reports/bitAllocationView';
import { plainDescription } from './jobText';

/** Where the history is kept between windows; the editor's workspace state fits. */
export interface HistoryStorage {
  get(): readonly JobState[];
  set(jobs: readonly JobState[]): void;
}

/** Jobs kept, newest first. */
const mostJobs = 40;
/** Number of messages kept per job. */
const mostLines = 200;
/** Reports above this many characters of JSON stay out of the storage: the output folder has them as report.json. */
const largestReport = 400_000;

/**
 * The jobs of this workspace, running and past, newest first. Running ones live in memory; finished ones survive the
 * window. A job that was running when the window closed is gone: it is kept as failed, with the reason.
 */
export class JobHistory implements Disposable {
  private readonly changed = new Emitter<JobState | undefined>();
  /** A job changed; undefined when the list did. */
  readonly onDidChange = this.changed.event;
  private jobs: readonly JobState[];
  /** Messages of this window's jobs, by job. Not saved. */
  private readonly lines = new Map<string, readonly JobLine[]>();

  constructor(private readonly storage: HistoryStorage) {
    this.jobs = storage
      .get()
      .map((job) => ({
        ...job,
        description: (job as Partial<JobState>).description ?? plainDescription(job.spec, modelReportOf(job.report)),
      }))
      .map((job) =>
        job.status === 'running'
          ? { ...job, status: 'failed', error: { code: 'cancelled', message: 'The window was closed while the job was running.' } }
          : job,
      );
  }

  list(): readonly JobState[] {
    return this.jobs;
  }

  get(id: string): JobState | undefined {
    return this.jobs.find((job) => job.id === id);
  }

  add(job: JobState): void {
    this.jobs = [job, ...this.jobs].slice(0, mostJobs);
    this.save();
    this.changed.fire(undefined);
  }

  /** Replaces parts of a job. Progress alone is not written to storage. */
  update(id: string, change: Partial<Omit<JobState, 'id'>>): void {
    const job = this.get(id);
    if (!job) return;
    const next = { ...job, ...change };
    this.jobs = this.jobs.map((other) => (other.id === id ? next : other));
    if (change.status !== undefined) this.save();
    this.changed.fire(next);
  }

  /** Messages of a job of this window so far, oldest first. */
  linesOf(id: string): readonly JobLine[] {
    return this.lines.get(id) ?? [];
  }

  /** Adds a message of a job. */
  say(id: string, level: JobLine['level'], text: string): void {
    const job = this.get(id);
    if (!job) return;
    const seconds = Math.max(0, (Date.now() - Date.parse(job.startedAt)) / 1000);
    this.lines.set(id, [...this.linesOf(id), { seconds, level, text }].slice(-mostLines));
    this.changed.fire(job);
  }

  /** Restores a report that was too long for the storage. */
  recall(id: string, report: JobReport): void {
    this.jobs = this.jobs.map((job) => (job.id === id ? { ...job, report } : job));
  }

  remove(id: string): void {
    this.jobs = this.jobs.filter((job) => job.id !== id);
    this.lines.delete(id);
    this.save();
    this.changed.fire(undefined);
  }

  dispose(): void {
    this.changed.dispose();
  }

  private save(): void {
    this.storage.set(this.jobs.map(slim));
  }
}

function slim(job: JobState): JobState {
  const { report, progress: _progress, ...rest } = job;
  if (!report || JSON.stringify(report).length > largestReport) return rest;
  return { ...rest, report };
}
