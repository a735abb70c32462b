import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelSummary } from '../../protocol/model';

/** What a model takes, for suggestions of data. */
export interface ModelInputs {
  /** A language model: it learns from and is measured on texts. */
  readonly readsText: boolean;
  readonly inputs: readonly { readonly name: string; readonly shape: readonly (number | string)[] }[];
}

/** What a model takes, by its headers. Undefined for a file that says nothing about it. */
export function inputsOf({ format, graph }: ModelSummary): ModelInputs | undefined {
  const inputs = graph?.inputs ?? [];
  const readsText = format === 'hugging-face' || inputs.some(({ name }) => name === 'input_ids');
  return readsText || inputs.length > 0 ? { readsText, inputs } : undefined;
}

/**
 * Why a folder of NumPy files does not fit a model's inputs, in a few words; undefined if it does. `shapeOf` reads the shape of an array from its header, undefined for
 * a file that cannot be read.
 */
export async function misfit(
  folder: string,
  { inputs }: ModelInputs,
  shapeOf: (file: string) => Promise<readonly number[] | undefined>,
): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const { name, shape } of inputs) {
    const file = names.find((each) => each.endsWith(`-${name}.npy`));
    if (file === undefined) return `no array for input '${name}'`;
    const actual = await shapeOf(join(folder, file));
    if (actual === undefined) return `${file} cannot be read`;
    if (!fits(shape, actual)) return `input '${name}' takes [${shape.join(', ')}], ${file} has [${actual.join(', ')}]`;
  }
  return undefined;
}

/** The first axis counts samples; a name stands for any length. */
function fits(wanted: readonly (number | string)[], actual: readonly number[]): boolean {
  return (
    wanted.length === actual.length && wanted.every((axis, index) => index === 0 || typeof axis === 'string' || axis === actual[index])
  );
}
