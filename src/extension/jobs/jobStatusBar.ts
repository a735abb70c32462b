import * as vscode from 'vscode';
import type { JobState } from '../../protocol/jobs';
import { clickCommandIds, commandIds, viewIds } from '../contributions';
import { createStatusItem, showStatusItem } from '../shown/statusBar';
import type { JobHistory } from './jobHistory';
import { outcomeText, progressFraction } from './jobText';

/** The progress of running jobs in the status bar. A click shows the job, or the list where several run. */
export class JobStatusBar implements vscode.Disposable {
  private item: vscode.StatusBarItem | undefined;
  private readonly subscriptions: readonly vscode.Disposable[];

  constructor(private readonly history: JobHistory) {
    this.subscriptions = [
      history.onDidChange(() => this.draw()),
      vscode.commands.registerCommand(clickCommandIds.statusBar, () => this.open()),
    ];
    this.draw();
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.item?.dispose();
  }

  private running(): readonly JobState[] {
    return this.history.list().filter(({ status }) => status === 'running');
  }

  private async open(): Promise<void> {
    const [first, ...more] = this.running();
    if (first && more.length === 0) await vscode.commands.executeCommand(commandIds.showJob, first.id);
    else await vscode.commands.executeCommand(`${viewIds.jobs}.focus`);
  }

  private draw(): void {
    const running = this.running();
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
      command: clickCommandIds.statusBar,
    });
  }
}

function percent({ progress }: JobState): string {
  const fraction = progressFraction(progress);
  return fraction === undefined ? '' : ` ${Math.floor(100 * fraction)} %`;
}
