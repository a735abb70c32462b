import { basename } from 'node:path';
import * as vscode from 'vscode';
import { cancelledError } from '../../protocol/errors';
import type { RecipeSpec } from '../../protocol/jobs';
import { diskPath } from '../messages';
import { showError } from '../shown/notifications';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { workspaceFolder } from '../models/workspaceFolder';
import { copySampleRecipe, newRecipe } from './newRecipe';
import type { Choice } from './pickers';
import { choose, pickFile, separator } from './pickers';

const recipePattern = /\.loom\.ya?ml$/i;

/** *Run Recipe*: the given or active recipe, else one of the workspace. Saved first, checked, forecast, then run. */
export async function runRecipe(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Running a recipe')) return;
  const spec = await recipeSpec(context, target);
  if (!(await isSound(context, spec.recipe))) return;
  const confirmed = await confirmForecast(context, spec, `Run ${basename(spec.recipe)}`);
  if (confirmed) void context.jobs.run(confirmed);
  else await vscode.window.showTextDocument(vscode.Uri.file(spec.recipe));
}

/** *Forecast Recipe*: what running it needs, as a document. */
export async function forecastRecipe(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('A forecast')) return;
  const { recipe } = await recipeSpec(context, target);
  await context.reports.show(`forecast:${recipe}`);
}

async function recipeSpec(context: CommandContext, target: unknown): Promise<RecipeSpec> {
  const uri = target instanceof vscode.Uri ? target : await pickRecipe(context);
  const recipe = diskPath(uri);
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  // What runs is the file on disk: it must be what the user sees.
  if (open?.isDirty) await open.save();
  return { kind: 'recipe', recipe, ...readSettings().jobOptions };
}

async function pickRecipe(context: CommandContext): Promise<vscode.Uri> {
  const active = vscode.window.activeTextEditor?.document.uri;
  if (active && recipePattern.test(active.path)) return active;
  const found = await vscode.workspace.findFiles('**/*.loom.{yaml,yml}', '**/node_modules/**', 200);
  const choices: Choice<vscode.Uri | 'new' | 'sample' | 'file'>[] = [
    ...found.map((uri) => ({ icon: 'checklist', label: vscode.workspace.asRelativePath(uri), value: uri })),
    separator(found.length === 0 ? 'No recipes in this workspace yet' : 'Others'),
    { icon: 'new-file', label: 'New Recipe…', detail: 'Writes a recipe for a model, to be changed and run', value: 'new' },
    ...(workspaceFolder() === undefined
      ? []
      : [
          {
            icon: 'beaker',
            label: 'Sample recipe',
            detail: 'Compresses and evaluates the bundled language model; copied into this workspace',
            value: 'sample' as const,
          },
        ]),
    { icon: 'folder-opened', label: 'Choose a file…', detail: 'A recipe on this machine', value: 'file' },
  ];
  const chosen = await choose(choices, { title: 'Run Recipe', placeholder: 'Choose a recipe (*.loom.yaml)' });
  if (chosen === 'sample') return copySampleRecipe(context);
  if (chosen === 'file') return vscode.Uri.file(await pickFile('Run Recipe', { Recipes: ['yaml', 'yml'] }));
  if (chosen !== 'new') return chosen;
  await newRecipe(context);
  // It is to be looked at before it runs.
  throw cancelledError();
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
