import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { RecipeSpec } from '../../protocol/jobs';
import { diskPath } from '../messages';
import { showError } from '../shown/notifications';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { choose } from './pickers';

const recipePattern = /\.loom\.ya?ml$/i;

/** *Run Recipe*: the given or active recipe, else one of the workspace. Saved first, checked, forecast, then run. */
export async function runRecipe(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Running a recipe')) return;
  const spec = await recipeSpec(target);
  if (!(await isSound(context, spec.recipe))) return;
  const confirmed = await confirmForecast(context, spec, `Run ${basename(spec.recipe)}`);
  if (confirmed) void context.jobs.run(confirmed);
  else await vscode.window.showTextDocument(vscode.Uri.file(spec.recipe));
}

/** *Forecast Recipe*: what running it needs, as a document. */
export async function forecastRecipe(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('A forecast')) return;
  const { recipe } = await recipeSpec(target);
  await context.reports.show(`forecast:${recipe}`);
}

async function recipeSpec(target: unknown): Promise<RecipeSpec> {
  const uri = target instanceof vscode.Uri ? target : await pickRecipe();
  const recipe = diskPath(uri);
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  // What runs is the file on disk: it must be what the user sees.
  if (open?.isDirty) await open.save();
  return { kind: 'recipe', recipe, ...readSettings().jobOptions };
}

async function pickRecipe(): Promise<vscode.Uri> {
  const active = vscode.window.activeTextEditor?.document.uri;
  if (active && recipePattern.test(active.path)) return active;
  const found = vscode.workspace.findFiles('**/*.loom.{yaml,yml}', '**/node_modules/**', 200);
  return choose(
    found.then((uris) => uris.map((uri) => ({ icon: 'checklist', label: vscode.workspace.asRelativePath(uri), value: uri }))),
    { title: 'Run Recipe', placeholder: 'Choose a recipe (*.loom.yaml)' },
  );
}

async function isSound(context: CommandContext, recipe: string): Promise<boolean> {
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(recipe));
  const findings = await context.engine.ask('checkRecipe', { file: recipe, text: document.getText() });
  const error = findings.find(({ severity }) => severity === 'error');
  if (!error) return true;
  const place = `line ${error.start.line + 1}`;
  const chosen = await showError(`The recipe has an error in ${place}: ${error.message}`, 'Show');
  if (chosen !== undefined) {
    const at = new vscode.Position(error.start.line, error.start.character);
    await vscode.window.showTextDocument(document, { selection: new vscode.Range(at, at) });
  }
  return false;
}
