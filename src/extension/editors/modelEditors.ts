import * as vscode from 'vscode';
import { LoomweightError } from '../../protocol/errors';
import type { ModelPageEvents, ModelPageRequests } from '../../protocol/panels/modelPage';
import { modelPageShapes } from '../../protocol/panels/modelPage';
import { commandIds, doneContext, editorIds, panelIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import { modelName } from '../../common/modelName';
import { editorFor } from '../models/modelFiles';
import { PageHost } from '../panels/pageHost';
import type { PageSubjects } from '../panels/pageSubjects';
import type { DocumentReader } from './modelDocument';
import { ModelDocument } from './modelDocument';
import type { Log } from '../shown/log';
import { showStatus } from '../shown/notifications';
import { createPanel } from '../shown/rows';

/** Bars of the inspector's histogram. */
const histogramBins = 96;

/**
 * Shows models: files in read-only custom editors, folders in a panel with the same page. Opening a tensor shows its
 * model with that tensor selected.
 */
export class ModelEditors implements vscode.CustomReadonlyEditorProvider<ModelDocument>, vscode.WebviewPanelSerializer {
  private readonly hosts = new Map<string, Set<PageHost<ModelPageRequests, ModelPageEvents>>>();
  private readonly wanted = new Map<string, string>();
  private readonly documents = new Set<ModelDocument>();

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly engine: EngineHost,
    private readonly reader: DocumentReader,
    private readonly subjects: PageSubjects,
    private readonly log: Log,
  ) {}

  /** Registers the editors and the panel's restorer. */
  register(): vscode.Disposable[] {
    return [
      ...Object.values(editorIds).map((id) =>
        vscode.window.registerCustomEditorProvider(id, this, {
          supportsMultipleEditorsPerDocument: true,
          webviewOptions: { retainContextWhenHidden: false },
        }),
      ),
      vscode.window.registerWebviewPanelSerializer(panelIds.model, this),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.reloadAll()),
    ];
  }

  /** Opens a model, with a tensor selected where one is named. A click in a tree leaves the focus there. */
  async open(path: string, tensor: string | undefined, options: { readonly preserveFocus: boolean }): Promise<void> {
    if (tensor !== undefined) this.wanted.set(path, tensor);
    const editor = editorFor(path);
    if (editor !== undefined) await vscode.commands.executeCommand('vscode.openWith', vscode.Uri.file(path), editor, options);
    else this.openPanel(path, options.preserveFocus);
    const hosts = this.hosts.get(path);
    if (tensor === undefined || !hosts) return;
    for (const host of hosts) host.send('select', { tensor });
  }

  openCustomDocument(uri: vscode.Uri): ModelDocument {
    const document = new ModelDocument(uri, this.reader, this.subjects.keyOf(uri.fsPath), (closed) => this.documents.delete(closed));
    this.documents.add(document);
    return document;
  }

  resolveCustomEditor(document: ModelDocument, panel: vscode.WebviewPanel): void {
    this.attach(document, panel);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const path = this.subjects.subjectOf((state as { state?: { key?: unknown } } | null | undefined)?.state?.key);
    if (path === undefined) panel.dispose();
    else this.attachPanel(path, panel);
  }

  private openPanel(path: string, preserveFocus: boolean): void {
    const open = [...(this.hosts.get(path) ?? [])][0];
    if (open) {
      open.panel.reveal(undefined, preserveFocus);
      return;
    }
    this.attachPanel(path, createPanel(panelIds.model, modelName(path), { preserveFocus }));
  }

  private attachPanel(path: string, panel: vscode.WebviewPanel): void {
    const document = this.openCustomDocument(vscode.Uri.file(path));
    panel.onDidDispose(() => document.dispose());
    this.attach(document, panel);
  }

  private attach(document: ModelDocument, panel: vscode.WebviewPanel): void {
    const { path } = document;
    const host = new PageHost<ModelPageRequests, ModelPageEvents>(panel, {
      extensionUri: this.extensionUri,
      page: 'model',
      shapes: modelPageShapes,
      log: this.log,
      service: this.service(document),
    });
    const hosts = this.hosts.get(path) ?? new Set();
    this.hosts.set(path, hosts.add(host));
    host.own(document.onDidChange(() => void document.view().then((view) => host.send('changed', view))));
    host.own({ dispose: () => hosts.delete(host) });
  }

  private service(document: ModelDocument): ModelPageRequests {
    const { path } = document;
    const requireTrust = () => {
      const refused = this.reader.valuesRefused();
      if (refused !== undefined) throw new LoomweightError('unsupported', refused);
    };
    return {
      ready: async () => {
        const view = await document.view();
        if (view.state === 'ready') void vscode.commands.executeCommand('setContext', doneContext('openedModel'), true);
        const select = this.wanted.get(path);
        this.wanted.delete(path);
        return { view, ...(select !== undefined && { select }) };
      },
      tensors: async ({ offset, count }) => document.tensors.slice(offset, offset + count),
      statistics: async ({ tensor }) => {
        requireTrust();
        return this.engine.ask('statistics', { model: path, tensor, bins: histogramBins });
      },
      picture: async ({ tensor, region, width, height }) => {
        requireTrust();
        return this.engine.ask('picture', { model: path, tensor, ...(region && { region }), width, height });
      },
      copy: async ({ text }) => {
        await vscode.env.clipboard.writeText(text);
        showStatus(`Copied ${text}`, 3000);
      },
      compress: async () => void vscode.commands.executeCommand(commandIds.compress, path),
      manageTrust: async () => void vscode.commands.executeCommand('workbench.trust.manage'),
    };
  }

  private reloadAll(): void {
    for (const document of this.documents) void document.reload();
  }
}
