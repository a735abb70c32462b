import { join } from 'node:path';
import * as vscode from 'vscode';
import type { JobState } from '../protocol/jobs';
import { comparedResult, compressUnderBudget, saveBudgetRecipe } from './commands/budgetActions';
import type { CommandContext } from './commands/context';
import { resumeJob } from './commands/jobCommands';
import { registerCommands } from './commands/registerCommands';
import { panelIds, clickCommandIds, viewIds } from './contributions';
import { ModelEditors } from './editors/modelEditors';
import { EngineHost } from './engineHost/engineHost';
import { loadEngineProcesses } from './engineHost/engineProcesses';
import { JobHistory } from './jobs/jobHistory';
import { JobRunner } from './jobs/jobRunner';
import { JobStatusBar } from './jobs/jobStatusBar';
import { workspaceRuns } from './jobs/workspaceRuns';
import { RecipeCompletions, RecipeDiagnostics, RecipeLenses, recipeSelector } from './languages/recipeLanguage';
import { TensorHover, hoverLanguages } from './languages/tensorHover';
import { TensorIndex } from './languages/tensorIndex';
import { Messages } from './messages';
import { ModelCatalog } from './models/modelCatalog';
import type { CatalogFolder, CatalogModel } from './models/modelCatalog';
import { watchModels } from './models/modelWatcher';
import { BitAllocationPanels } from './panels/bitAllocationPanels';
import { JobPanels } from './panels/jobPanels';
import { PageSubjects } from './panels/pageSubjects';
import { ReportPanels } from './panels/reportPanels';
import { reportSource } from './reports/reportSources';
import { createLog } from './shown/log';
import { setTreeMessage } from './shown/rows';
import { JobsTree, openJobRow } from './views/jobsTree';
import { ModelsTree, openModelRow } from './views/modelsTree';
import { TerminalCommand } from './terminal/terminalCommand';
import { registerTreeClick } from './views/treeClicks';

const historyKey = 'loomweight.jobs';
const subjectsKey = 'loomweight.pages';

/** The engine process of this window; `deactivate` waits until it is gone. Jobs go on. */
let engineHost: EngineHost | undefined;

/** Registers everything and starts nothing: the engine starts with the first question, also that about the report of a job that ended. */
export function activate(context: vscode.ExtensionContext): void {
  const started = performance.now();
  const log = createLog('Loomweight');
  const own = <T extends vscode.Disposable>(item: T): T => {
    context.subscriptions.push(item);
    return item;
  };
  own(log);
  const messages = new Messages(log);
  const engine = own(
    new EngineHost(() =>
      loadEngineProcesses(join(context.extensionPath, 'dist', 'engine.js'), log, (reason) => messages.showCrash(reason)),
    ),
  );
  engineHost = engine;
  const valuesRefused = () =>
    vscode.workspace.isTrusted ? undefined : 'Values are read only in trusted workspaces. Names, shapes and types come from the headers.';
  const inspect = (model: string) =>
    engine.ask('inspect', {
      model,
      ...(!vscode.workspace.isTrusted && { limited: true, within: foldersOf(context.extensionPath).map(({ path }) => path) }),
    });
  const catalog = own(
    new ModelCatalog(
      { findModels: (folder) => engine.ask('findModels', { folder }), inspect },
      () => foldersOf(context.extensionPath),
      (error, during) => messages.showError(error, during),
    ),
  );
  const { version } = context.extension.packageJSON as { readonly version: string };
  const runs = workspaceRuns(join(context.globalStorageUri.fsPath, 'runs'), { dist: join(context.extensionPath, 'dist'), version });
  const history = own(
    new JobHistory({
      get: () => context.workspaceState.get<readonly JobState[]>(historyKey, []),
      set: (jobs) => void context.workspaceState.update(historyKey, jobs),
      past: (id) => runs.past(id),
    }),
  );
  const jobs = own(new JobRunner(engine, history, runs, messages, () => catalog.refresh()));
  const subjects = new PageSubjects({
    get: () => context.workspaceState.get<Readonly<Record<string, string>>>(subjectsKey, {}),
    set: (kept) => void context.workspaceState.update(subjectsKey, kept),
  });
  const editors = new ModelEditors(context.extensionUri, engine, { inspect, valuesRefused }, subjects, log);
  // Buttons of a page are commands without a name: what they throw is shown once, in words.
  const shown = <Result>(during: string, run: (commands: CommandContext) => Promise<Result>): Promise<Result> =>
    run(commandContext).catch((error: unknown) => {
      messages.showError(error, during);
      throw error;
    });
  const bitAllocation = new BitAllocationPanels(
    context.extensionUri,
    history,
    {
      compare: (id, key) => shown('compare', (commands) => comparedResult(commands, id, key)),
      saveRecipe: (id, choice) => shown('save recipe', (commands) => saveBudgetRecipe(commands, id, choice)),
      compress: (id, choice) => shown('compress', (commands) => compressUnderBudget(commands, id, choice)),
    },
    subjects,
    log,
  );
  const jobPanels = new JobPanels(context.extensionUri, history, (id) => shown('resume', (commands) => resumeJob(commands, id)), log);
  const reports = new ReportPanels(context.extensionUri, (key) => reportSource(key, engine, history), subjects, log);
  const samples = samplesOf(context.extensionPath);
  const terminal = new TerminalCommand(context);
  void terminal.refresh().catch((error: unknown) => log.error(`terminal command: ${String(error)}`));
  const commandContext: CommandContext = {
    engine,
    catalog,
    history,
    jobs,
    messages,
    terminal,
    editors,
    bitAllocation,
    jobPanels,
    reports,
    log,
    drafts: new Map(),
    samples,
  };

  for (const command of registerCommands(commandContext)) own(command);
  for (const editor of editors.register()) own(editor);
  own(vscode.window.registerWebviewPanelSerializer(panelIds.bitAllocation, bitAllocation));
  own(vscode.window.registerWebviewPanelSerializer(panelIds.job, jobPanels));
  own(vscode.window.registerWebviewPanelSerializer(panelIds.report, reports));
  const models = own(new ModelsTree(catalog));
  const modelsView = own(
    vscode.window.createTreeView(viewIds.models, { treeDataProvider: models, showCollapseAll: true, canSelectMany: true }),
  );
  own(registerTreeClick(clickCommandIds.models, modelsView, openModelRow));
  own(models.onDidList((listed) => setTreeMessage(modelsView, emptyMessage(listed))));
  const jobsView = own(vscode.window.createTreeView(viewIds.jobs, { treeDataProvider: own(new JobsTree(history)) }));
  own(registerTreeClick(clickCommandIds.jobs, jobsView, (id) => openJobRow(history, id)));
  own(history.onDidChange(() => (jobsView.badge = runningBadge(history))));
  own(new JobStatusBar(history));
  history.readAfter(jobs.attach().catch((error: unknown) => messages.showError(error, 'attaching to running jobs')));
  own(
    watchModels(
      () => catalog.refresh(),
      (folder) => catalog.holds(folder),
    ),
  );

  const index = new TensorIndex(catalog);
  own(catalog.onDidChange(() => index.invalidate()));
  own(vscode.languages.registerHoverProvider(hoverLanguages, new TensorHover(index, engine)));
  own(vscode.languages.registerCodeLensProvider(recipeSelector, new RecipeLenses()));
  own(vscode.languages.registerCompletionItemProvider(recipeSelector, new RecipeCompletions(engine), ':', ' ', '-'));
  own(new RecipeDiagnostics(engine, log));

  own(vscode.workspace.onDidGrantWorkspaceTrust(() => catalog.forget()));
  own(
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration('loomweight.runtime')) void engine.restart();
    }),
  );
  log.info(`activated in ${(performance.now() - started).toFixed(1)} ms`);
}

/** Resolves when the engine process is gone. */
export async function deactivate(): Promise<void> {
  await engineHost?.close();
  engineHost = undefined;
}

/** Message above the tree while the workspace itself has no model. */
function emptyMessage(models: readonly CatalogModel[]): string | undefined {
  if (models.some(({ sample }) => !sample)) return undefined;
  const folders = vscode.workspace.workspaceFolders ?? [];
  const virtual = folders.find(({ uri }) => uri.scheme !== 'file');
  if (virtual && folders.every(({ uri }) => uri.scheme !== 'file')) {
    return `This workspace is in a virtual file system (${virtual.uri.scheme}). Loomweight reads models from local disks only: clone or copy it first.`;
  }
  const where = folders.length === 0 ? 'Open a folder that contains a model' : 'No models in this workspace yet. Add one';
  return `${where}: a Hugging Face folder, or a safetensors, ONNX or GGUF file. The sample below is bundled.`;
}

/** The number of running jobs on the view. */
function runningBadge(history: JobHistory): vscode.ViewBadge | undefined {
  const value = history.list().filter(({ status }) => status === 'running').length;
  return value === 0 ? undefined : { value, tooltip: value === 1 ? '1 job is running' : `${value} jobs are running` };
}

function samplesOf(extensionPath: string): string {
  return join(extensionPath, 'media', 'samples');
}

/** Workspace folders on a disk, and the bundled sample. Folders of virtual file systems cannot be read by the engine. */
function foldersOf(extensionPath: string): readonly CatalogFolder[] {
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
  return [
    ...folders.map(({ uri, name }) => ({ path: uri.fsPath, name, sample: false })),
    { path: samplesOf(extensionPath), name: 'Sample', sample: true },
  ];
}
