import * as vscode from 'vscode';
import type { JobState } from '../../protocol/jobs';
import { commandIds, itemContexts, clickCommandIds } from '../contributions';
import type { JobHistory } from '../jobs/jobHistory';
import { describeRow, treeRow } from '../shown/rows';
import { outcomeText } from '../jobs/jobText';

const icons: Readonly<Record<JobState['status'], readonly [icon: string, colour: string | undefined]>> = {
  running: ['sync~spin', undefined],
  done: ['pass', 'testing.iconPassed'],
  failed: ['error', 'testing.iconFailed'],
  cancelled: ['circle-slash', undefined],
  interrupted: ['debug-disconnect', 'list.warningForeground'],
};

/** Time between two drawings of a running job's row. */
const rowEveryMs = 500;

/** Running jobs with their progress, then the history. Items are job ids: states change under them. */
export class JobsTree implements vscode.TreeDataProvider<string>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<string | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly subscription;
  private readonly waiting = new Map<string, NodeJS.Timeout>();

  constructor(private readonly history: JobHistory) {
    this.subscription = history.onDidChange((job) => this.refresh(job));
  }

  /**
   * The editor waits with drawing until changes pause, so a job that reports ten times a second would never be drawn: its row changes twice a second
   * at most. The end of a job is shown at once.
   */
  private refresh(job: JobState | undefined): void {
    if (job?.status !== 'running') {
      this.changed.fire(job?.id);
      return;
    }
    if (this.waiting.has(job.id)) return;
    const fire = (): void => {
      this.waiting.delete(job.id);
      this.changed.fire(job.id);
    };
    this.waiting.set(job.id, setTimeout(fire, rowEveryMs));
  }

  dispose(): void {
    this.subscription.dispose();
    for (const timer of this.waiting.values()) clearTimeout(timer);
    this.changed.dispose();
  }

  getChildren(id?: string): string[] {
    return id === undefined ? this.history.list().map((job) => job.id) : [];
  }

  getTreeItem(id: string): vscode.TreeItem {
    const job = this.history.get(id);
    if (!job) return treeRow('');
    const item = treeRow(job.description.title);
    item.id = id;
    const [icon, colour] = icons[job.status];
    item.iconPath = new vscode.ThemeIcon(icon, colour === undefined ? undefined : new vscode.ThemeColor(colour));
    item.contextValue = contextOf(job);
    const said = job.error && (job.status === 'failed' || job.status === 'interrupted') ? job.error.message : outcomeText(job);
    describeRow(item, {
      description: job.status === 'running' ? outcomeText(job) : `${outcomeText(job)} · ${when(job.startedAt)}`,
      tooltip: `${job.description.title}\n${said}`,
    });
    item.command = { command: clickCommandIds.jobs, title: 'Open' };
    return item;
  }
}

/** Opens what the job of a row has to show now. */
export async function openJobRow(history: JobHistory, id: string): Promise<void> {
  const job = history.get(id);
  if (job) await vscode.commands.executeCommand(opens(job), id);
}

/** What a click shows: layers where there are some, curves of a training, progress of the rest, then the report. */
function opens({ status, description }: JobState): string {
  if (description.opens === 'layers' && (status === 'running' || status === 'done')) return commandIds.showBitAllocation;
  if (description.opens === 'progress' || ['running', 'cancelled', 'interrupted'].includes(status)) return commandIds.showJob;
  return commandIds.openReport;
}

function contextOf({ status, description }: JobState): string {
  if (status === 'running') return itemContexts.runningJob;
  if (status !== 'done') return itemContexts.failedJob;
  if (description.model) return itemContexts.finishedModel;
  return description.output === undefined ? itemContexts.finishedJob : itemContexts.finishedOutput;
}

/** Time of day today, else the date. */
function when(iso: string): string {
  const time = new Date(iso);
  return time.toDateString() === new Date().toDateString()
    ? time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : time.toLocaleDateString();
}
