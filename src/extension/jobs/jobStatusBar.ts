import type * as vscode from 'vscode';
import type { JobState } from '../../protocol/jobs';
import { commandIds, viewIds } from '../contributions';
import { createStatusItem, showStatusItem } from '../shown/statusBar';
import type { JobHistory } from './jobHistory';
import { outcomeText, progressFraction } from './jobText';

/** The progress of running jobs in the status bar. A click shows the job, or the list where several run. */
export class JobStatusBar implements vscode.Disposable {
  private item: vscode.StatusBarItem | undefined;
  private readonly subscription;

  constructor(private readonly history: JobHistory) {
    this.subscription = history.onDidChange(() => this.draw());
    this.draw();
  }

  dispose(): void {
    this.subscription.dispose();
    this.item?.dispose();
  }

  private draw(): void {
    const running = this.history.list().filter(({ status }) => status === 'running');
    const [first] = running;
    if (!first) {
      this.item?.dispose();
      this.item = undefined;
      return;
    }
    this.item ??= createStatusItem('loomweight.jobs', 'Loomweight Jobs');
    const one = running.length === 1;
    showStatusItem(this.item, {
      icon: 'sync~spin',
      text: one ? `${first.description.title}${percent(first)}` : `${running.length} Loomweight jobs`,
      tooltip: running.map((job) => `${job.description.title}: ${outcomeText(job)}`).join('\n'),
      command: one
        ? { command: commandIds.showJob, title: 'Show Job', arguments: [first.id] }
        : { command: `${viewIds.jobs}.focus`, title: 'Show Jobs' },
    });
  }
}

function percent({ progress }: JobState): string {
  const fraction = progressFraction(progress);
  return fraction === undefined ? '' : ` ${Math.floor(100 * fraction)} %`;
}
