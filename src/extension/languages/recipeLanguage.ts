import * as vscode from 'vscode';
import type { RecipeDiagnostic, RecipePosition } from '../../protocol/engine';
import { commandIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import { completion, diagnostic } from '../shown/documents';
import type { Log } from '../shown/log';

/** Recipe files on a disk. */
export const recipeSelector: vscode.DocumentSelector = { scheme: 'file', pattern: '**/*.loom.{yaml,yml}' };

/** Quiet time while the user types. */
const quietMilliseconds = 300;

/** *Run* and *Forecast* above the first line of a recipe. */
export class RecipeLenses implements vscode.CodeLensProvider {
  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const text = document.getText();
    const first = text.split('\n').findIndex((line) => /^\s*[^#\s]/.test(line));
    const at = new vscode.Range(Math.max(0, first), 0, Math.max(0, first), 0);
    return [
      new vscode.CodeLens(at, { title: '$(play) Run', command: commandIds.runRecipe, arguments: [document.uri] }),
      new vscode.CodeLens(at, { title: 'Forecast', command: commandIds.forecastRecipe, arguments: [document.uri] }),
    ];
  }
}

/** Completions of a recipe, as the engine's own schema has them. */
export class RecipeCompletions implements vscode.CompletionItemProvider {
  constructor(private readonly engine: EngineHost) {}

  async provideCompletionItems(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.CompletionItem[]> {
    const answers = await this.engine.ask('completeRecipe', {
      file: document.uri.fsPath,
      text: document.getText(),
      position: { line: position.line, character: position.character },
    });
    return answers.map(({ label, detail, insertText }, index) => {
      const item = completion(label, detail, insertText);
      // The engine's order is the useful one.
      item.sortText = String(index).padStart(4, '0');
      return item;
    });
  }
}

/** Keeps the findings of open recipes up to date, debounced while the user types. */
export class RecipeDiagnostics implements vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection('loomweight');
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly engine: EngineHost,
    private readonly log: Log,
  ) {
    this.subscriptions = [
      vscode.workspace.onDidOpenTextDocument((document) => this.schedule(document, 0)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.schedule(document, quietMilliseconds)),
      vscode.workspace.onDidCloseTextDocument((document) => this.forget(document)),
    ];
    for (const document of vscode.workspace.textDocuments) this.schedule(document, 0);
  }

  dispose(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    for (const subscription of this.subscriptions) subscription.dispose();
    this.collection.dispose();
  }

  private schedule(document: vscode.TextDocument, milliseconds: number): void {
    if (vscode.languages.match(recipeSelector, document) === 0) return;
    const key = document.uri.toString();
    const running = this.timers.get(key);
    if (running !== undefined) clearTimeout(running);
    this.timers.set(
      key,
      setTimeout(() => void this.check(document), milliseconds),
    );
  }

  private async check(document: vscode.TextDocument): Promise<void> {
    this.timers.delete(document.uri.toString());
    const { version } = document;
    try {
      const findings = await this.engine.ask('checkRecipe', { file: document.uri.fsPath, text: document.getText() });
      if (!document.isClosed && document.version === version) this.collection.set(document.uri, findings.map(toDiagnostic));
    } catch (error) {
      this.log.warn(`cannot check ${document.uri.fsPath}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private forget(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    const running = this.timers.get(key);
    if (running !== undefined) clearTimeout(running);
    this.timers.delete(key);
    this.collection.delete(document.uri);
  }
}

function toDiagnostic(finding: RecipeDiagnostic): vscode.Diagnostic {
  const at = ({ line, character }: RecipePosition) => new vscode.Position(line, character);
  const severity = finding.severity === 'error' ? vscode.DiagnosticSeverity.Error : vscode.DiagnosticSeverity.Warning;
  return diagnostic(new vscode.Range(at(finding.start), at(finding.end)), finding.message, severity);
}
