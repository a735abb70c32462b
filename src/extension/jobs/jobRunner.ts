import { watch } from 'node:fs';
import * as vscode from 'vscode';
import { cancelling } from '../../protocol/client/runs/cancelling';
import type { RunFollower } from '../../protocol/client/runs/followRun';
import type { RunEnd, RunRecord } from '../../protocol/client/runs/runFiles';
import { LoomweightError, fromErrorData } from '../../protocol/errors';
import type { JobProgress, JobSpec, JobState } from '../../protocol/jobs';
import { doneContext } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import type { Messages } from '../messages';
import { withNotification } from '../shown/notifications';
import { announceDone, announceInterrupted } from './announce';
import type { JobHistory } from './jobHistory';
import type { JobRuns } from './jobRuns';
import { plainDescription, progressFraction, progressText } from './jobText';

/** What follows a job in this window. */
interface Followed {
  readonly follower: RunFollower;
  readonly ended: Promise<void>;
  /** Hears the progress, beside the history. */
  onProgress?: (progress: JobProgress) => void;
  cancelling: boolean;
}

/** Starts, follows and cancels jobs; the history notifies the views. Jobs belong to no window: this one follows those of its workspace, whoever started them. */
export class JobRunner implements vscode.Disposable {
  private readonly followed = new Map<string, Followed>();
  /** Runs whose end is known: nothing about them changes any more. */
  private readonly ended = new Set<string>();
  /** What ended before is history. */
  private readonly openedAt = new Date().toISOString();
  private watching: { close(): void } | undefined;

  constructor(
    private readonly engine: EngineHost,
    private readonly history: JobHistory,
    private readonly runs: JobRuns,
    private readonly messages: Messages,
    private readonly onOutput: () => void,
  ) {}

  /**
   * Runs a job under a notification with progress, time left and Cancel. `onStart` hears its id. Resolves when it has ended, however it
   * did.
   */
  async run(spec: JobSpec, onStart?: (id: string) => void): Promise<JobState | undefined> {
    // A specification that the engine cannot describe is one that it refuses to run, with the reason.
    const description = await this.engine.ask('describeJob', { spec }).catch(() => plainDescription(spec));
    const { title } = description;
    return withNotification(title, async (progress, token) => {
      let id: string | undefined;
      let wanted = true;
      token.onCancellationRequested(() => {
        wanted = false;
        if (id !== undefined) void this.cancel(id).catch(() => undefined);
      });
      try {
        const record = await this.runs.start(spec, description);
        id = record.id;
        // A short job may have been found and have ended before its start is known here.
        const followed = this.ended.has(id) ? undefined : this.follow(record);
        let shown = 0;
        if (followed)
          followed.onProgress = (snapshot) => {
            const percent = 100 * (progressFraction(snapshot) ?? 0);
            progress.report({ message: progressText(snapshot), increment: Math.max(0, percent - shown) });
            shown = Math.max(shown, percent);
          };
        onStart?.(id);
        if (followed && !wanted) await this.cancel(id);
        await followed?.ended;
      } catch (error) {
        this.messages.showError(error, title);
      }
      return id === undefined ? undefined : this.history.get(id);
    });
  }

  /**
   * Follows the jobs of this workspace that run, and learns how those ended that ran when its last window closed. From then on also follows jobs that another window
   * of the workspace starts.
   */
  async attach(): Promise<void> {
    await this.attachNew();
    const known = new Set((await this.runs.list()).map(({ id }) => id));
    for (const job of this.history.list())
      if (job.status === 'running' && !known.has(job.id) && !this.followed.has(job.id)) this.history.update(job.id, lostWithWindow);
    try {
      let timer: NodeJS.Timeout | undefined;
      this.watching = watch(await this.runs.prepare(), () => {
        clearTimeout(timer);
        timer = setTimeout(() => void this.attachNew(), 500);
      }).on('error', () => this.watching?.close());
    } catch {
      // A file system that reports no changes, or a folder that cannot be used, which the start of a job reports: other windows' jobs appear with the next window.
    }
  }

  /** Cancels a job. Errors: `not-found` where it no longer runs. */
  async cancel(id: string): Promise<void> {
    const followed = this.followed.get(id);
    if (!followed) throw new LoomweightError('not-found', 'This job is no longer running.', { job: id });
    followed.cancelling = true;
    this.history.update(id, { progress: cancelling(this.history.get(id)?.progress) });
    await this.runs.cancel(id);
  }

  /** Takes an ended job out of the history, with what its run has kept. */
  async remove(id: string): Promise<void> {
    this.history.remove(id);
    await this.runs.remove(id);
  }

  /** Stops following. The jobs go on. */
  dispose(): void {
    this.watching?.close();
    for (const { follower } of this.followed.values()) follower.dispose();
    this.followed.clear();
  }

  private async attachNew(): Promise<void> {
    for (const record of await this.runs.list()) {
      const { id, startedAt } = record;
      const job = this.history.get(id);
      if (this.ended.has(id) || (job ? job.status !== 'running' : !this.history.hasRoomFor(startedAt))) continue;
      this.follow(record);
    }
  }

  /** Follows a run, once: the folder's watcher may have found it before the one who started it hears that it has begun. */
  private follow(record: RunRecord): Followed {
    const { id, spec, description, startedAt } = record;
    const already = this.followed.get(id);
    if (already) return already;
    const known = this.history.get(id) !== undefined;
    if (!known) this.history.add({ id, spec, description, status: 'running', startedAt });
    let resolve: () => void = () => undefined;
    const ended = new Promise<void>((done) => (resolve = done));
    const follower = this.runs.follow(record, {
      onProgress: (progress) => {
        // What was on its way when the user cancelled is of no interest.
        if (followed.cancelling && progress.phase !== cancelling(undefined).phase) return;
        this.history.update(id, { progress });
        followed.onProgress?.(progress);
      },
      onLine: (line) => this.history.say(id, line),
      onEnd: (end) =>
        void this.end(record, end, known || end.endedAt >= this.openedAt).finally(() => {
          this.ended.add(id);
          this.followed.delete(id);
          resolve();
        }),
    });
    const followed: Followed = { follower, ended, cancelling: false };
    this.followed.set(id, followed);
    return followed;
  }

  /** `isNews`: the user is told. What ended before this window opened, unknown to its history, only appears in the list. */
  private async end({ id, spec, title }: RunRecord, { status, report, error }: RunEnd, isNews: boolean): Promise<void> {
    if (status === 'done') {
      // Requested before the notification closes, so that the one about the result follows without a gap.
      const outcome = report
        ? await this.engine.ask('describeReport', { spec, report }).then(
            (view) => view.outcome,
            () => 'done',
          )
        : 'done';
      this.history.update(id, { status, outcome, ...(report && { report }) });
      if (isNews) this.onOutput();
    } else this.history.update(id, { status, ...(error && { error }) });
    const job = this.history.get(id);
    if (!job) return;
    if (status === 'done') void vscode.commands.executeCommand('setContext', doneContext(spec.kind), true);
    if (!isNews) return;
    if (status === 'done') void announceDone(job);
    if (status === 'interrupted') void announceInterrupted(job);
    if (status === 'failed' && error) this.messages.showError(fromErrorData(error), title);
  }
}

/** A job of an earlier version, whose process ended with its window; or one whose folder was removed. */
const lostWithWindow: Partial<JobState> = {
  status: 'interrupted',
  error: { code: 'engine-crashed', message: 'The process of this job is gone, and nothing is known about how it ended.' },
};
