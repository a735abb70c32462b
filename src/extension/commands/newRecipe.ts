import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import * as vscode from 'vscode';
import { defaultFormat } from '../../protocol/defaultFormat';
import { cancelledError } from '../../protocol/errors';
import { bareName, wholeModel } from '../models/modelFiles';
import { workspaceFolder } from '../models/workspaceFolder';
import { firstStep, recipeTemplate, sampleRecipe } from '../reports/recipeTemplate';
import type { CommandContext } from './context';
import { pickModel } from './pickers';

/** *New Recipe*: a model, a place, and a file with two steps to begin with, open in an editor. */
export async function newRecipe(context: CommandContext): Promise<void> {
  if (!context.messages.requireTrust('Writing a recipe')) return;
  const model = wholeModel(
    await pickModel(context.catalog, undefined, { title: 'New Recipe', placeholder: 'Choose the model to begin with' }),
  );
  const name = bareName(model);
  const target = await vscode.window.showSaveDialog({
    title: 'New Recipe',
    defaultUri: vscode.Uri.file(freeFile(workspaceFolder() ?? folderOf(model, context.samples), name)),
    filters: { Recipes: ['loom.yaml', 'yaml'] },
  });
  if (!target) throw cancelledError();
  const methods = await context.engine.ask('methods', {});
  const specs = methods.find(({ id }) => id === firstStep.method)?.parameters ?? [];
  const { format } = defaultFormat(model, specs, firstStep.parameters, []);
  await writeFile(target.fsPath, recipeTemplate({ model, name, format, file: target.fsPath }));
  await vscode.window.showTextDocument(target, { preview: false });
}

/** Copies the bundled recipe into the workspace, where its outputs can be written. Gives its file. */
export async function copySampleRecipe(context: CommandContext): Promise<vscode.Uri> {
  const folder = workspaceFolder();
  if (folder === undefined) throw cancelledError();
  const file = freeFile(folder, 'first');
  await writeFile(file, sampleRecipe(await readFile(join(context.samples, 'first.loom.yaml'), 'utf8'), context.samples));
  const uri = vscode.Uri.file(file);
  await vscode.window.showTextDocument(uri, { preview: false });
  return uri;
}

/** Beside the model, but for a bundled one: an update removes the folder of the extension. */
function folderOf(model: string, samples: string): string {
  return model.startsWith(samples + sep) ? homedir() : dirname(model);
}

function freeFile(folder: string, name: string): string {
  for (let count = 1; ; count += 1) {
    const path = join(folder, `${name}${count === 1 ? '' : `-${count}`}.loom.yaml`);
    if (!existsSync(path)) return path;
  }
}
