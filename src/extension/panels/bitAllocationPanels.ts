import * as vscode from 'vscode';
import type { BitAllocationEvents, BitAllocationRequests, BitAllocationView } from '../../protocol/panels/bitAllocation';
import { commandIds, panelIds } from '../contributions';
import type { JobHistory } from '../jobs/jobHistory';
import { bitAllocationView } from '../reports/bitAllocationView';
import { PageHost } from './pageHost';

/** One panel for each compress job. It fills while the job runs and comes back after a reload of the window. */
export class BitAllocationPanels implements vscode.WebviewPanelSerializer {
  private readonly panels = new Map<string, vscode.WebviewPanel>();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly history: JobHistory,
    private readonly log: vscode.LogOutputChannel,
  ) {}

  /** Opens the panel of a job, or brings it to the front. */
  open(id: string): void {
    const open = this.panels.get(id);
    if (open) {
      open.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(panelIds.bitAllocation, 'Bit Allocation', vscode.ViewColumn.Active, {});
    this.attach(id, panel);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const id = (state as { state?: { job?: string } } | undefined)?.state?.job;
    if (id === undefined) panel.dispose();
    else this.attach(id, panel);
  }

  private attach(id: string, panel: vscode.WebviewPanel): void {
    this.panels.set(id, panel);
    panel.title = `Bits: ${this.view(id).model}`;
    const host = new PageHost<BitAllocationRequests, BitAllocationEvents>(panel, {
      extensionUri: this.extensionUri,
      page: 'bitAllocation',
      log: this.log,
      service: {
        ready: async () => this.view(id),
        openReport: async () => void vscode.commands.executeCommand(commandIds.openReport, id),
        revealOutput: async () => void vscode.commands.executeCommand(commandIds.revealOutput, id),
      },
    });
    host.own(
      this.history.onDidChange((job) => {
        if (job?.id === id) host.send('changed', this.view(id));
      }),
    );
    host.own({ dispose: () => this.panels.delete(id) });
  }

  private view(id: string): BitAllocationView {
    const job = this.history.get(id);
    const view = job && bitAllocationView(job);
    return view ?? { ...gone, job: id };
  }
}

/** What a restored panel shows when its job has left the history. */
const gone: Omit<BitAllocationView, 'job'> = {
  title: 'Bit allocation',
  model: 'job no longer known',
  method: 'The history of jobs no longer has this one.',
  status: 'failed',
  layers: [],
  bytesBefore: 0,
  bytesAfter: 0,
  bitsPerWeight: 0,
  notes: ['Open the report.json of the output folder, or run the job again.'],
};
