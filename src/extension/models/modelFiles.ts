import { existsSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import * as vscode from 'vscode';
import type { ModelFormat, TensorSummary } from '../../protocol/model';
import { editorIds } from '../contributions';

const editors: Readonly<Record<string, string>> = {
  '.safetensors': editorIds.safetensors,
  '.gguf': editorIds.gguf,
  '.onnx': editorIds.onnx,
  '.npy': editorIds.npy,
};

/** The custom editor for a path, undefined for folders and other files, which open in a panel. */
export function editorFor(path: string): string | undefined {
  return editors[extname(path).toLowerCase()];
}

/** What a job works on: the Hugging Face folder, where the path names a weight file in one; otherwise the path itself. */
export function wholeModel(path: string): string {
  const inFolder = path.toLowerCase().endsWith('.safetensors') && existsSync(join(dirname(path), 'config.json'));
  return inFolder ? dirname(path) : path;
}

/** A model's name without the ending of its file: that of the folder where the file is called model, as it is in Hugging Face folders. */
export function bareName(model: string): string {
  const path = namedPath(model);
  return basename(path, editorFor(path) ? extname(path) : '');
}

/** The suggested folder of a result: next to the model, named after it and the operation. */
export function proposeOutput(model: string, suffix: string, base: string | undefined): string {
  return join(base ?? dirname(namedPath(model)), `${bareName(model)}-${suffix}`);
}

/** The file or folder whose name tells what the model is. */
function namedPath(model: string): string {
  return editorFor(model) && /^(model|pytorch_model)\.\w+$/i.test(basename(model)) ? dirname(model) : model;
}

/** An icon for a kind of model. */
export function modelIcon(format: ModelFormat): vscode.ThemeIcon {
  const icons: Readonly<Record<ModelFormat, string>> = {
    'hugging-face': 'package',
    safetensors: 'symbol-array',
    gguf: 'symbol-array',
    onnx: 'type-hierarchy',
    npy: 'symbol-array',
    archive: 'archive',
  };
  return new vscode.ThemeIcon(icons[format]);
}

/** An icon for a tensor's place in its model. */
export function tensorIcon(tensor: TensorSummary): vscode.ThemeIcon {
  const icons: Partial<Record<TensorSummary['role'], string>> = { norm: 'symbol-ruler', bias: 'symbol-ruler', embedding: 'book' };
  return new vscode.ThemeIcon(icons[tensor.role] ?? (tensor.shape.length < 2 ? 'symbol-ruler' : 'symbol-numeric'));
}
