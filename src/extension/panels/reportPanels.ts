import type * as vscode from 'vscode';
import type { ReportAction, ReportPageEvents, ReportPageRequests, ReportPageView } from '../../protocol/panels/reportPage';
import { reportPageShapes } from '../../protocol/panels/reportPage';
import { panelIds } from '../contributions';
import { PageHost } from './pageHost';
import type { PageSubjects } from './pageSubjects';
import type { Log } from '../shown/log';
import { createPanel, titlePanel } from '../shown/rows';

/** A document that can be made again at any time: after a reload only its key is known. */
export interface ReportSource {
  /** Builds the document. */
  make(): Promise<ReportPageView>;
  /** Runs the action of a button. */
  act(action: ReportAction['id']): Promise<void>;
}

/** Panels with readable documents. A key such as `job:ID` or `devices` names what a panel shows. */
export class ReportPanels implements vscode.WebviewPanelSerializer {
  private readonly open = new Map<
    string,
    { readonly panel: vscode.WebviewPanel; readonly host: PageHost<ReportPageRequests, ReportPageEvents> }
  >();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly sourceOf: (key: string) => ReportSource,
    private readonly subjects: PageSubjects,
    private readonly log: Log,
  ) {}

  /** Opens the document of a key, or brings it to the front, made afresh. */
  async show(key: string): Promise<void> {
    const known = this.open.get(key);
    if (known) {
      known.panel.reveal();
      await this.refresh(key);
      return;
    }
    this.attach(key, createPanel(panelIds.report, 'Report'));
  }

  /** Rebuilds an open document. */
  async refresh(key: string): Promise<void> {
    const view = await this.sourceOf(key).make();
    this.open.get(key)?.host.send('changed', { ...view, key: this.subjects.keyOf(key) });
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const key = this.subjects.subjectOf((state as { state?: { key?: unknown } } | null | undefined)?.state?.key);
    if (key === undefined) panel.dispose();
    else this.attach(key, panel);
  }

  private attach(key: string, panel: vscode.WebviewPanel): void {
    const source = this.sourceOf(key);
    const host = new PageHost<ReportPageRequests, ReportPageEvents>(panel, {
      extensionUri: this.extensionUri,
      page: 'report',
      shapes: reportPageShapes,
      log: this.log,
      service: {
        ready: async () => {
          const view = await source.make();
          titlePanel(panel, `${key.startsWith('job:') ? 'Report: ' : key.startsWith('forecast:') ? 'Forecast: ' : ''}${view.title}`);
          return { ...view, key: this.subjects.keyOf(key) };
        },
        act: ({ action }) => (action === 'refresh' ? this.refresh(key) : source.act(action)),
      },
    });
    this.open.set(key, { panel, host });
    host.own({ dispose: () => this.open.delete(key) });
  }
}
