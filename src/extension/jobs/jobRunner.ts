import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import { formatBytes, formatNumber } from '../../common/units';
import { LoomweightError, toErrorData } from '../../protocol/errors';
import type { JobProgress, JobSpec, JobState } from '../../protocol/jobs';
import type { JobReport } from '../../protocol/report';
import { changeWarning } from '../../protocol/verdict';
import { commandIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import type { Messages } from '../messages';
import { showInformation, showWarning, withNotification } from '../shown/notifications';
import type { JobHistory } from './jobHistory';
import { modelReportOf } from '../reports/bitAllocationView';
import { plainDescription, progressFraction, progressText } from './jobText';

/** Shown from the click on Cancel until the process is gone. */
function cancelling(last: JobProgress | undefined): JobProgress {
  const { elapsedSeconds = 0, rssBytes = 0, layers, training } = last ?? {};
  return { phase: 'Cancelling', done: 0, unit: '', elapsedSeconds, rssBytes, ...(layers && { layers }), ...(training && { training }) };
}

/** Starts, follows and cancels jobs; the history notifies the views. */
export class JobRunner {
  private readonly running = new Map<string, AbortController>();

  constructor(
    private readonly engine: EngineHost,
    private readonly history: JobHistory,
    private readonly messages: Messages,
    private readonly onOutput: () => void,
  ) {}

  /**
   * Runs a job under a notification with progress, time left and Cancel. `onStart` hears its id. Resolves when it has ended, however it
   * did.
   */
  async run(spec: JobSpec, onStart?: (id: string) => void): Promise<JobState | undefined> {
    const id = randomUUID();
    // A specification that the engine cannot describe is one that it refuses to run, with the reason.
    const description = await this.engine.ask('describeJob', { spec }).catch(() => plainDescription(spec));
    const controller = new AbortController();
    this.running.set(id, controller);
    this.history.add({ id, spec, description, status: 'running', startedAt: new Date().toISOString() });
    const { title } = description;
    onStart?.(id);
    let phase = '';
    controller.signal.addEventListener('abort', () => this.history.update(id, { progress: cancelling(this.history.get(id)?.progress) }), {
      once: true,
    });
    try {
      const { report, outcome } = await withNotification(title, async (progress, token) => {
        token.onCancellationRequested(() => controller.abort());
        let shown = 0;
        const report = await this.engine.runJob(spec, {
          signal: controller.signal,
          onProgress: (snapshot) => {
            // What was on its way when the user cancelled is of no interest.
            if (controller.signal.aborted) return;
            const percent = 100 * (progressFraction(snapshot) ?? 0);
            progress.report({ message: progressText(snapshot), increment: Math.max(0, percent - shown) });
            shown = Math.max(shown, percent);
            this.history.update(id, { progress: snapshot });
            if (snapshot.phase !== phase) this.history.say(id, 'info', snapshot.phase);
            phase = snapshot.phase;
          },
          onLog: ({ level, message }) => this.history.say(id, level, message),
        });
        // Requested before the notification closes, so that the one about the result follows without a gap.
        const outcome = await this.engine.ask('describeReport', { spec, report }).then(
          (view) => view.outcome,
          () => 'done',
        );
        return { report, outcome };
      });
      this.history.update(id, { status: 'done', report, outcome });
      this.onOutput();
      void this.announce(id, title, report, outcome);
    } catch (error) {
      const data = toErrorData(error);
      const cancelled = data.code === 'cancelled' || controller.signal.aborted;
      this.history.update(id, { status: cancelled ? 'cancelled' : 'failed', error: data });
      if (!cancelled) this.messages.showError(error, title);
    } finally {
      this.running.delete(id);
    }
    return this.history.get(id);
  }

  /** Cancels a job. Throws `not-found` where it no longer runs. */
  cancel(id: string): void {
    const controller = this.running.get(id);
    if (!controller) throw new LoomweightError('not-found', 'This job is no longer running.', { job: id });
    controller.abort();
  }

  /** Ends everything, when the window closes. */
  dispose(): void {
    for (const controller of this.running.values()) controller.abort();
  }

  private async announce(id: string, title: string, report: JobReport, outcome: string): Promise<void> {
    const model = modelReportOf(report);
    if (model) {
      const changed = changeWarning(model.verification);
      const verified = changed ?? (model.verification.passed ? 'Verified.' : 'Not verified.');
      const slower = model.latency && model.latency.afterMilliseconds > model.latency.beforeMilliseconds ? ` ${model.latency.summary}` : '';
      const text =
        `${title}: ${formatBytes(model.bytesBefore)} became ${formatBytes(model.bytesAfter)}, ` +
        `${formatNumber(model.bitsPerWeight, 3)} bits per weight. ${verified}${slower}`;
      const show = changed === undefined ? showInformation : showWarning;
      const chosen = await show(text, 'Show Bit Allocation', 'Reveal Output');
      if (chosen === 'Show Bit Allocation') void vscode.commands.executeCommand(commandIds.showBitAllocation, id);
      if (chosen === 'Reveal Output') void vscode.commands.executeCommand(commandIds.revealOutput, id);
      return;
    }
    const chosen = await showInformation(`${title}: ${outcome}.`, 'Open Report');
    if (chosen !== undefined) void vscode.commands.executeCommand(commandIds.openReport, id);
  }
}
