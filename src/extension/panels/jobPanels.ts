import * as vscode from 'vscode';
import type { JobAction, JobEvents, JobRequests, JobView } from '../../protocol/panels/job';
import { jobShapes } from '../../protocol/panels/job';
import { commandIds, panelIds } from '../contributions';
import type { JobHistory } from '../jobs/jobHistory';
import { recallReport } from '../reports/finishedReport';
import { jobView } from '../reports/jobView';
import { JobPanelSet, jobOfState } from './jobPanelSet';
import { PageHost } from './pageHost';
import type { Log } from '../shown/log';
import { createPanel, titlePanel } from '../shown/rows';

const commandOf: Readonly<Record<Exclude<JobAction['id'], 'resume'>, string>> = {
  cancel: commandIds.cancelJob,
  openReport: commandIds.openReport,
  bitAllocation: commandIds.showBitAllocation,
  revealOutput: commandIds.revealOutput,
};

/** One panel for each job: curves of a training, progress and log of the others. It is restored after a reload of the window. */
export class JobPanels implements vscode.WebviewPanelSerializer {
  private readonly panels = new JobPanelSet();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly history: JobHistory,
    /** Resumes an interrupted job. */
    private readonly resume: (id: string) => Promise<void>,
    private readonly log: Log,
  ) {}

  /** Opens the panel of a job, or brings it to the front. */
  open(id: string): void {
    if (this.panels.reveal(id)) return;
    this.attach(id, createPanel(panelIds.job, 'Job'));
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const id = jobOfState(state);
    if (id === undefined) panel.dispose();
    else this.attach(id, panel);
  }

  private attach(id: string, panel: vscode.WebviewPanel): void {
    titlePanel(panel, this.view(id).title);
    const host = new PageHost<JobRequests, JobEvents>(panel, {
      extensionUri: this.extensionUri,
      page: 'job',
      shapes: jobShapes,
      log: this.log,
      service: {
        ready: async () => {
          await recallReport(this.history, id);
          return this.view(id);
        },
        act: async ({ action }) => (action === 'resume' ? this.resume(id) : void vscode.commands.executeCommand(commandOf[action], id)),
      },
    });
    host.own(this.panels.add(id, panel));
    host.own(
      this.history.onDidChange((job) => {
        if (job?.id === id) host.send('changed', this.view(id));
      }),
    );
  }

  private view(id: string): JobView {
    const job = this.history.get(id);
    if (job) return jobView(job, this.history.linesOf(id));
    return {
      job: id,
      title: 'Job not found',
      subtitle: 'This job is no longer in the history.',
      status: 'failed',
      statusText: 'Open the report.json of the output folder, or run the job again.',
      log: [],
      actions: [],
    };
  }
}
