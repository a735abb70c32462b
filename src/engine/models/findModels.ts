import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { throwIfCancelled } from '../../protocol/errors';
import type { FoundModel } from '../../protocol/engine';
import { checkpointEnding } from '../../protocol/learnDefaults';
import type { ModelFormat } from '../../protocol/model';
import { isModelReport } from '../../protocol/report';
import { readJsonObject } from '../formats/files/readText';
import { containedPath } from '../formats/huggingFace/containedPath';

/** Folders that hold no models of the user's, and would take long. */
const skipped = new Set(['node_modules', '__pycache__', 'site-packages', 'venv']);
const deepest = 8;
const mostModels = 1000;

const fileFormats: Readonly<Record<string, ModelFormat>> = {
  '.safetensors': 'safetensors',
  '.onnx': 'onnx',
  '.gguf': 'gguf',
  '.loomq': 'archive',
};

/**
 * Models below a folder, by names and sizes alone: a directory with config.json and safetensors is one model, so is an output
 * directory of Loomweight; other model files count one by one. A .npy file is one array, usually data, and no model: it can be named on the
 * command line and opened there, but neither this list nor an editor takes it. Hidden folders, links to folders, package folders and the checkpoints of trainings are left out.
 */
export async function findModels(folder: string, signal?: AbortSignal): Promise<readonly FoundModel[]> {
  const found: FoundModel[] = [];
  await walk(folder, 0, found, signal);
  return found.sort((a, b) => a.path.localeCompare(b.path));
}

async function walk(folder: string, depth: number, found: FoundModel[], signal: AbortSignal | undefined): Promise<void> {
  throwIfCancelled(signal);
  if (depth > deepest || found.length >= mostModels) return;
  // A folder that cannot be read holds nothing that could be opened.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  const output = files.includes('report.json') ? await outputModel(folder) : undefined;
  if (output) {
    found.push(output);
    return;
  }
  const weights = files.filter((name) => extname(name).toLowerCase() === '.safetensors');
  const isDirectoryModel = files.includes('config.json') && weights.length > 0;
  if (isDirectoryModel) found.push({ path: folder, name: basename(folder), format: 'hugging-face', bytes: await sizeOf(folder, weights) });
  for (const name of files) {
    const format = fileFormats[extname(name).toLowerCase()];
    if (format === undefined || (isDirectoryModel && format === 'safetensors') || found.length >= mostModels) continue;
    found.push({ path: join(folder, name), name, format, bytes: await sizeOf(folder, [name, ...dataFilesOf(name, files)]) });
  }
  for (const entry of entries)
    if (entry.isDirectory() && !entry.name.startsWith('.') && !skipped.has(entry.name) && !entry.name.endsWith(checkpointEnding))
      await walk(join(folder, entry.name), depth + 1, found, signal);
}

/** An output directory of Loomweight as one model; undefined if report.json is someone else's. */
async function outputModel(folder: string): Promise<FoundModel | undefined> {
  const file = join(folder, 'report.json');
  // A list of models follows no link: a report that is somewhere else describes something else.
  const report = await containedPath(folder, 'report.json', file, true)
    .then(readJsonObject)
    .catch(() => undefined);
  if (!isModelReport(report)) return undefined;
  const { primary, outputs } = report;
  const sizes = Array.isArray(outputs) ? outputs.map((file: { readonly bytes?: unknown } | null) => Number(file?.bytes ?? 0)) : [];
  return {
    path: folder,
    name: basename(folder),
    format: formatOfOutput(fileFormats[extname(primary).toLowerCase()]),
    bytes: sizes.reduce((sum, size) => sum + (Number.isFinite(size) ? size : 0), 0),
  };
}

/** The archive or the ONNX file that an output names; every other primary is in a Hugging Face directory. */
function formatOfOutput(format: ModelFormat | undefined): ModelFormat {
  return format === 'onnx' || format === 'archive' ? format : 'hugging-face';
}

/** External data of an ONNX file as exporters name it: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`. */
function dataFilesOf(name: string, files: readonly string[]): readonly string[] {
  return name.endsWith('.onnx') ? files.filter((file) => file.startsWith(`${name}_data`) || file === `${name}.data`) : [];
}

async function sizeOf(folder: string, names: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
