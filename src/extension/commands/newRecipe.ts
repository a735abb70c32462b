import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { modelName } from '../../common/modelName';
import { cancelledError } from '../../protocol/errors';
import { wholeModel } from '../models/modelFiles';
import { recipeTemplate, sampleRecipe } from '../reports/recipeTemplate';
import { defaultFormat } from './compressModel';
import type { CommandContext } from './context';
import { pickModel } from './pickers';

/** *New Recipe*: a model, a place, and a file with two steps to begin with, open in an editor. */
export async function newRecipe(context: CommandContext): Promise<void> {
  if (!context.messages.requireTrust('Writing a recipe')) return;
  const model = wholeModel(
    await pickModel(context.catalog, undefined, { title: 'New Recipe', placeholder: 'Choose the model to begin with' }),
  );
  const name = modelName(model).replace(/\.\w+$/, '');
  const target = await vscode.window.showSaveDialog({
    title: 'New Recipe',
    defaultUri: vscode.Uri.file(freeFile(recipeFolder() ?? dirname(model), name)),
    filters: { Recipes: ['loom.yaml', 'yaml'] },
  });
  if (!target) throw cancelledError();
  await writeFile(target.fsPath, recipeTemplate({ model, name, format: defaultFormat(model, true), file: target.fsPath }));
  await vscode.window.showTextDocument(target, { preview: false });
}

/** Copies the bundled recipe into the workspace, where its outputs can be written. Gives its file. */
export async function copySampleRecipe(context: CommandContext): Promise<vscode.Uri> {
  const folder = recipeFolder();
  if (folder === undefined) throw cancelledError();
  const file = freeFile(folder, 'first');
  await writeFile(file, sampleRecipe(await readFile(join(context.samples, 'first.loom.yaml'), 'utf8'), context.samples));
  const uri = vscode.Uri.file(file);
  await vscode.window.showTextDocument(uri, { preview: false });
  return uri;
}

/** Where a recipe of this workspace is written; undefined without a folder on a disk. */
export function recipeFolder(): string | undefined {
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file')?.uri.fsPath;
}

function freeFile(folder: string, name: string): string {
  for (let count = 1; ; count += 1) {
    const path = join(folder, `${name}${count === 1 ? '' : `-${count}`}.loom.yaml`);
    if (!existsSync(path)) return path;
  }
}
