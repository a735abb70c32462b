import * as vscode from 'vscode';
import { formatBytes, formatCount } from '../../common/units';
import { LoomweightError, cancelledError } from '../../protocol/errors';
import { diskPath } from '../messages';
import { modelName } from '../../common/modelName';
import { modelFormatNames } from '../../protocol/model';
import type { CatalogModel, ModelCatalog } from '../models/modelCatalog';
import type { Choice } from '../shown/quickInput';
import { pickMany } from '../shown/quickInput';
import type { StepQuestion } from '../shown/steps';
import { pickStep, wentBack } from '../shown/steps';
import type { ModelNode } from '../views/modelsTree';

export type { Choice } from '../shown/quickInput';

/**
 * Lets the user choose one of several; an item without a value cannot be chosen. Throws `cancelled` if the user cancels, for which `isBack` holds if the user went
 * back.
 */
export async function choose<T>(items: readonly Choice<T>[] | Thenable<readonly Choice<T>[]>, options: StepQuestion<T>): Promise<T> {
  const chosen = await pickStep(items, options);
  if (chosen === wentBack) throw new LoomweightError('cancelled', 'Back.', { back: true });
  if (chosen === undefined) throw cancelledError();
  return chosen;
}

/** True for what a question throws if the user went back to the one before. */
export function isBack(error: unknown): boolean {
  return LoomweightError.is(error, 'cancelled') && error.details?.['back'] === true;
}

/** Lets the user choose several. Throws `cancelled` if the user cancels or chooses none. */
export async function chooseSeveral<T>(
  items: readonly Choice<T>[],
  options: { readonly title: string; readonly placeholder: string },
): Promise<readonly T[]> {
  const chosen = await pickMany(items, options);
  const values = (chosen ?? []).flatMap(({ value }) => (value === undefined ? [] : [value]));
  if (values.length === 0) throw cancelledError();
  return values;
}

/** A heading inside a list of choices. */
export function separator<T>(label: string): Choice<T> {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}

/**
 * The model that a command is about: the tree item or file it was called on, else one of the workspace or another from
 * the disk. Throws `cancelled` if the user cancels.
 */
export async function pickModel(
  catalog: ModelCatalog,
  target: unknown,
  options: { readonly title: string; readonly placeholder?: string; readonly without?: string },
): Promise<string> {
  const given = modelOf(target);
  if (given !== undefined) return given;
  const items = catalog.checked().then((models): Choice<string>[] => {
    const offered = models.filter(({ model }) => model.path !== options.without);
    const unreadable = offered.filter(({ problem }) => problem !== undefined);
    const where = ({ sample, path }: CatalogModel) => (sample ? 'Bundled with Loomweight' : vscode.workspace.asRelativePath(path));
    return [
      ...offered
        .filter(({ problem }) => problem === undefined)
        .map(({ model }) => ({
          icon: 'package',
          label: model.name,
          description: `${modelFormatNames[model.format]} · ${formatBytes(model.bytes)}${model.sample ? ' · sample' : ''}`,
          detail: where(model),
          value: model.path,
        })),
      separator('On this machine'),
      { icon: 'folder-opened', label: 'Choose a folder…', detail: 'A Hugging Face folder or an output of Loomweight', value: ':folder' },
      { icon: 'file', label: 'Choose a file…', detail: 'safetensors, ONNX or GGUF', value: ':file' },
      ...(unreadable.length > 0 ? [separator<string>('Cannot be read')] : []),
      // Without a value: shown, so that nobody looks for them in vain, but not to be chosen.
      ...unreadable.map(({ model, problem }) => ({
        icon: 'warning',
        label: model.name,
        description: `cannot be read · ${where(model)}`,
        detail: problem?.message ?? '',
      })),
    ];
  });
  const chosen = await choose(items, { title: options.title, placeholder: options.placeholder ?? 'Choose a model' });
  if (chosen === ':folder') return pickFolder(options.title);
  if (chosen === ':file') return pickFile(options.title, { Models: ['safetensors', 'onnx', 'gguf'] });
  return chosen;
}

/** The path of an argument from a menu, another command or a page. Throws for files of virtual file systems. */
export function modelOf(target: unknown): string | undefined {
  if (typeof target === 'string') return target;
  if (isUri(target)) return diskPath(target);
  const node = target as ModelNode | undefined;
  return node?.kind !== undefined && 'model' in node ? node.model.path : undefined;
}

function isUri(value: unknown): value is vscode.Uri {
  const uri = value as Partial<vscode.Uri> | undefined;
  return typeof uri === 'object' && uri !== null && typeof uri.scheme === 'string' && typeof uri.path === 'string';
}

/** A file from the disk. */
export async function pickFile(title: string, filters: Record<string, string[]>): Promise<string> {
  const chosen = await vscode.window.showOpenDialog({ title, canSelectFiles: true, canSelectFolders: false, filters });
  if (!chosen?.[0]) throw cancelledError();
  return diskPath(chosen[0]);
}

/** A folder from the disk. */
export async function pickFolder(title: string): Promise<string> {
  const chosen = await vscode.window.showOpenDialog({ title, canSelectFiles: false, canSelectFolders: true });
  if (!chosen?.[0]) throw cancelledError();
  return diskPath(chosen[0]);
}

/** A tensor of a model. */
export async function pickTensor(catalog: ModelCatalog, model: string): Promise<string> {
  const items = catalog.summary(model).then((summary) =>
    summary.tensors.map((tensor) => ({
      label: tensor.name,
      description: `${tensor.shape.map(formatCount).join(' × ') || 'scalar'} · ${tensor.dtype}`,
      value: tensor.name,
    })),
  );
  return choose(items, { title: `Inspect Tensor: ${modelName(model)}`, placeholder: 'Type part of the name' });
}
