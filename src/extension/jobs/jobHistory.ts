import type { Disposable } from '../../common/disposables';
import { Emitter } from '../../common/events';
import type { JobProgress, JobState } from '../../protocol/jobs';
import type { JobLine } from '../../protocol/panels/job';
import type { JobReport } from '../../protocol/report';
import { modelReportOf } from '../reports/bitAllocationView';
import { plainDescription } from './jobText';

/** Where the history is kept between windows; the editor's workspace state fits. */
export interface HistoryStorage {
  get(): readonly JobState[];
  set(jobs: readonly JobState[]): void;
  /** What the run of an ended job has kept of its progress and messages. */
  past?(id: string): Promise<{ readonly progress?: JobProgress; readonly lines: readonly JobLine[] }>;
}

/** Jobs kept, newest first. */
const mostJobs = 40;
/** Number of messages kept per job. */
const mostLines = 200;
/** Reports above this many characters of JSON stay out of the storage: the output folder has them as report.json. */
const largestReport = 400_000;

/**
 * The jobs of this workspace, running and past, newest first. Progress and messages live in memory; the rest survives the window. A job that was running when
 * the window closed is taken for running until its run says otherwise (`JobRunner.attach`).
 */
export class JobHistory implements Disposable {
  private readonly changed = new Emitter<JobState | undefined>();
  /** A job changed; undefined when the list did. */
  readonly onDidChange = this.changed.event;
  private jobs: readonly JobState[];
  private attached: Promise<void> = Promise.resolve();
  /** Messages of jobs, by job. Not saved. */
  private readonly lines = new Map<string, readonly JobLine[]>();

  constructor(private readonly storage: HistoryStorage) {
    this.jobs = storage.get().map((job) => ({
      ...job,
      description: (job as Partial<JobState>).description ?? plainDescription(job.spec, modelReportOf(job.report)),
    }));
  }

  list(): readonly JobState[] {
    return this.jobs;
  }

  get(id: string): JobState | undefined {
    return this.jobs.find((job) => job.id === id);
  }

  /** Whether a job of that time (ISO) would be kept: it is not where there are enough newer ones. */
  hasRoomFor(startedAt: string): boolean {
    const oldest = this.jobs[mostJobs - 1];
    return oldest === undefined || startedAt > oldest.startedAt;
  }

  /** Adds a job at its place by time. */
  add(job: JobState): void {
    const jobs = [job, ...this.jobs.filter(({ id }) => id !== job.id)];
    this.jobs = jobs.sort((a, b) => b.startedAt.localeCompare(a.startedAt)).slice(0, mostJobs);
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

  /** Messages of a job so far, oldest first. */
  linesOf(id: string): readonly JobLine[] {
    return this.lines.get(id) ?? [];
  }

  /** Adds a message of a job. */
  say(id: string, line: JobLine): void {
    const job = this.get(id);
    if (!job) return;
    this.lines.set(id, [...this.linesOf(id), line].slice(-mostLines));
    this.changed.fire(job);
  }

  /** Restores a report that was too long for the storage. */
  recall(id: string, report: JobReport): void {
    this.jobs = this.jobs.map((job) => (job.id === id ? { ...job, report } : job));
  }

  /** Holds back what is restored after a reload until the jobs of earlier windows are known. */
  readAfter(attached: Promise<void>): void {
    this.attached = attached;
  }

  /** Restores how far an ended job of an earlier window had come: its curves and its messages. */
  async recallPast(id: string): Promise<void> {
    await this.attached;
    const job = this.get(id);
    if (!job || job.status === 'running' || this.linesOf(id).length > 0) return;
    const past = await this.storage.past?.(id);
    if (!past) return;
    const { progress } = past;
    if (progress) this.jobs = this.jobs.map((other) => (other.id === id && !other.progress ? { ...other, progress } : other));
    if (this.linesOf(id).length === 0) this.lines.set(id, past.lines.slice(-mostLines));
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
