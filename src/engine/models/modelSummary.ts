import path from 'node:path';
import { elementCount } from '../../protocol/dtypes';
import type { ModelSummary, TensorRole, TensorSummary } from '../../protocol/model';
import { isModelReport } from '../../protocol/report';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';
import { blockOfName, roleOfName } from '../formats/tensorNames';

/** What a summary may use beside the container. */
export interface SummaryOptions {
  /** Exact role of a tensor where its architecture is known; names are guessed from where it gives undefined. */
  readonly roleOf?: (name: string) => TensorRole | undefined;
  /** Directory of a Loomweight output that the container was found through; its report.json fills `compressed`. */
  readonly outputDirectory?: string;
}

/**
 * Everything `inspect` and the tree show of an opened model, without reading weights. Tensors that share their bytes
 * (tied weights stored once) count once in `parameters` and `bytes`.
 */
export async function summarizeModel(container: TensorContainer, options: SummaryOptions = {}): Promise<ModelSummary> {
  const directory = container.format === 'hugging-face' ? container.path : path.dirname(container.path);
  const tensors = [...container.tensors.values()].map((entry) => summarizeTensor(container, directory, entry, options.roleOf));
  const distinct = distinctEntries(container);
  const output = await readCompressed(options.outputDirectory ?? (container.format === 'hugging-face' ? container.path : undefined));
  return {
    path: container.path,
    name: path.basename(options.outputDirectory ?? container.path),
    format: container.format,
    architecture: architectureOf(container),
    parameters: output?.parameters ?? distinct.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytes: distinct.reduce((sum, { bytes, storedBytes }) => sum + (storedBytes ?? bytes), 0),
    tensors,
    diagnostics: container.diagnostics,
    metadata: describeMetadata(container),
    ...(container.graph ? { graph: container.graph } : {}),
    ...(output ? { compressed: output.compressed } : {}),
  };
}

function summarizeTensor(
  container: TensorContainer,
  directory: string,
  { name, dtype, shape, bytes, storedBytes, location }: TensorEntry,
  roleOf: SummaryOptions['roleOf'],
): TensorSummary {
  const file = !location || location.file === container.path ? '' : path.relative(directory, location.file).split(path.sep).join('/');
  return {
    name,
    dtype,
    shape,
    bytes: storedBytes ?? bytes,
    role: roleOf?.(name) ?? roleOfName(name, shape),
    block: blockOfName(name),
    file,
  };
}

function distinctEntries(container: TensorContainer): readonly TensorEntry[] {
  const seen = new Set<string>();
  return [...container.tensors.values()].filter(({ location }) => {
    if (!location || location.length === 0) return true;
    const key = `${location.offset}:${location.length}:${location.file}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function architectureOf({ config, metadata }: TensorContainer): string {
  const named = config?.['architectures'];
  if (Array.isArray(named) && typeof named[0] === 'string') return named[0];
  const type = config?.['model_type'];
  if (typeof type === 'string') return type;
  return metadata['general.architecture'] ?? metadata['graph'] ?? metadata['producer'] ?? 'unknown';
}

/** Longest piece of metadata that is shown. */
const longestText = 400;

function describeMetadata({ config, metadata }: TensorContainer): Readonly<Record<string, string>> {
  const shown: [string, string][] = Object.entries(metadata);
  for (const [key, value] of Object.entries(config ?? {})) shown.push([key, asText(value)]);
  return Object.fromEntries(shown.map(([key, text]) => [key, text.length > longestText ? `${text.slice(0, longestText)}…` : text]));
}

/** A value of config.json in one line. A value nested so deeply that it cannot be written is only named. */
function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value);
  } catch {
    return '(nested too deeply to be shown)';
  }
}

/** What report.json of an output directory says: packed tensors have fewer elements than the model has parameters. */
async function readCompressed(
  directory: string | undefined,
): Promise<{ readonly compressed: NonNullable<ModelSummary['compressed']>; readonly parameters: number | undefined } | undefined> {
  if (directory === undefined) return undefined;
  // A report that cannot be read says nothing about the weights; the model itself is still shown.
  const report = await readJsonObject(path.join(directory, 'report.json')).catch(() => undefined);
  if (!isModelReport(report)) return undefined;
  const { method, bitsPerWeight, parameterCount } = report;
  if (typeof method !== 'string' || typeof bitsPerWeight !== 'number') return undefined;
  const parameters =
    typeof parameterCount === 'number' && Number.isSafeInteger(parameterCount) && parameterCount > 0 ? parameterCount : undefined;
  return { compressed: { method, bitsPerWeight }, parameters };
}
