import * as vscode from 'vscode';
import type {
  BitAllocationEvents,
  BitAllocationRequests,
  BitAllocationView,
  BudgetChoice,
  ComparedResult,
} from '../../protocol/panels/bitAllocation';
import { bitAllocationShapes } from '../../protocol/panels/bitAllocation';
import { commandIds, panelIds } from '../contributions';
import type { JobHistory } from '../jobs/jobHistory';
import { bitAllocationView } from '../reports/bitAllocationView';
import { recallReport } from '../reports/finishedReport';
import { JobPanelSet, jobOfState } from './jobPanelSet';
import { PageHost } from './pageHost';
import type { PageSubjects } from './pageSubjects';
import type { Log } from '../shown/log';
import { createPanel, titlePanel } from '../shown/rows';

/** What the panel's buttons do, apart from opening other panels. Errors are shown to the user by the caller of these. */
export interface BudgetActions {
  compare(id: string, key: string | undefined): Promise<ComparedResult | undefined>;
  saveRecipe(id: string, choice: BudgetChoice): Promise<void>;
  compress(id: string, choice: BudgetChoice): Promise<void>;
}

/** One panel for each job that writes a model. It fills while the job runs and is restored after a reload of the window. */
export class BitAllocationPanels implements vscode.WebviewPanelSerializer {
  private readonly panels = new JobPanelSet();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly history: JobHistory,
    private readonly actions: BudgetActions,
    private readonly subjects: PageSubjects,
    private readonly log: Log,
  ) {}

  /** Opens the panel of a job, or brings it to the front. */
  open(id: string): void {
    if (this.panels.reveal(id)) return;
    this.attach(id, createPanel(panelIds.bitAllocation, 'Bit Allocation'));
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const id = jobOfState(state);
    if (id === undefined) panel.dispose();
    else this.attach(id, panel);
  }

  private attach(id: string, panel: vscode.WebviewPanel): void {
    titlePanel(panel, `Bits: ${this.view(id).model}`);
    const { actions } = this;
    const host = new PageHost<BitAllocationRequests, BitAllocationEvents>(panel, {
      extensionUri: this.extensionUri,
      page: 'bitAllocation',
      shapes: bitAllocationShapes,
      log: this.log,
      service: {
        ready: async () => {
          await recallReport(this.history, id);
          return this.view(id);
        },
        openReport: async () => void vscode.commands.executeCommand(commandIds.openReport, id),
        revealOutput: async () => void vscode.commands.executeCommand(commandIds.revealOutput, id),
        showCurves: async () => void vscode.commands.executeCommand(commandIds.showJob, id),
        compare: ({ key }) => this.compare(id, key),
        saveRecipe: (choice) => actions.saveRecipe(id, choice),
        compress: (choice) => actions.compress(id, choice),
      },
    });
    host.own(this.panels.add(id, panel));
    host.own(
      this.history.onDidChange((job) => {
        if (job?.id === id) host.send('changed', this.view(id));
      }),
    );
  }

  /** The page knows other results by keys only. */
  private async compare(id: string, key: string | undefined): Promise<ComparedResult | undefined> {
    const subject = this.subjects.subjectOf(key);
    if (key !== undefined && subject === undefined) return undefined;
    const found = await this.actions.compare(id, subject);
    return found && { ...found, key: this.subjects.keyOf(found.key) };
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
  model: 'job not found',
  method: 'This job is no longer in the history.',
  status: 'failed',
  layers: [],
  bytesBefore: 0,
  bytesAfter: 0,
  bitsPerWeight: 0,
  curves: false,
  notes: ['Open the report.json of the output folder, or run the job again.'],
};
