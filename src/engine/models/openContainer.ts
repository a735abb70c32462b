import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { assertNever } from '../../common/assertNever';
import { LoomweightError } from '../../protocol/errors';
import { isModelReport, reportProblem } from '../../protocol/report';
import { malformedFile } from '../formats/malformed';
import type { TensorContainer } from '../formats/container';
import { namingForeignFiles } from '../formats/files/foreignFile';
import { openRegularFile } from '../formats/files/randomAccessFile';
import { readJsonObject } from '../formats/files/readText';
import { archiveExtension, archiveName, openArchive } from '../formats/archive/openArchive';
import { graphName, openUnpacked } from '../formats/archive/unpackedGraph';
import { archiveMagic } from '../formats/archive/header';
import { containedPath, refuseLinkOutside } from '../formats/huggingFace/containedPath';
import { isConvertible, viewAsHuggingFace } from '../formats/gguf/convertToHuggingFace';
import { checkWholeModel } from '../formats/gguf/wholeModel';
import { openGguf } from '../formats/gguf/openGguf';
import { isHuggingFaceListing, openHuggingFace } from '../formats/huggingFace/openHuggingFace';
import { openNpy } from '../formats/npy/openNpy';
import { openOnnx } from '../formats/onnx/openOnnx';
import { refuseQuantized } from '../formats/quantized/quantizedCheckpoint';
import { openSafetensors } from '../formats/safetensors/openSafetensors';

/** How a model is opened. */
export interface OpenOptions {
  /** Untrusted workspaces: never follow a path or a link out of what the user named. */
  readonly limited?: boolean;
  /** With `limited`: folders within which links are followed (those of the workspace). Default: the folder of the model. */
  readonly within?: readonly string[];
  /**
   * For work with the weights: refuse checkpoints that are quantised already; show a GGUF file of a convertible architecture under Hugging Face names, with config and tokenizer; unpack the
   * archive of an ONNX model into a temporary ONNX file, which goes when the container is closed.
   */
  readonly asHuggingFace?: boolean;
}

/**
 * Opens any model: a .safetensors, .onnx, .gguf, .npy or .loomq file (content decides, then the extension), a Hugging Face directory, or
 * an output directory of Loomweight (its report.json names the file or directory to use). Reads headers only.
 * Errors: `not-found`, `unsupported`, `malformed-file`, `io`.
 */
export async function openContainer(model: string, options: OpenOptions = {}): Promise<TensorContainer> {
  const target = await resolveModel(model, options);
  if (options.limited === true) await refuseLinkOutside(model, target.path, options.within ?? []);
  const container = await namingForeignFiles(target.path, () =>
    target.isDirectory ? openHuggingFace(target.path, options) : openFile(target.path, options),
  );
  if (options.asHuggingFace !== true || container.quantized === undefined) return container;
  await container.close();
  throw refuseQuantized(container.path, container.quantized);
}

/** What a path means: the file or Hugging Face directory to open, and the output directory it was found through. */
export interface ResolvedModel {
  readonly path: string;
  readonly isDirectory: boolean;
  /** Set where the path is an output directory of Loomweight. */
  readonly outputDirectory?: string;
}

/** Follows report.json of an output directory to its primary file; otherwise gives the path itself. */
export async function resolveModel(model: string, { limited = false }: OpenOptions = {}): Promise<ResolvedModel> {
  const absolute = path.resolve(model);
  const status = await stat(absolute).catch((error: unknown) => {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new LoomweightError('not-found', `There is no model at ${absolute}. Check the path.`, { path: absolute }, { cause: error });
    throw error;
  });
  if (status.isFile()) return { path: absolute, isDirectory: false };
  // Opening a pipe or a device would wait for ever.
  if (!status.isDirectory())
    throw new LoomweightError('unsupported', `${absolute} is neither a file nor a directory. Name a model.`, { path: absolute });
  const names = await readdir(absolute);
  const primary = names.includes('report.json') ? await primaryOf(absolute, limited) : undefined;
  if (primary !== undefined) {
    const isDirectory = primary === absolute || (await stat(primary)).isDirectory();
    // `primary` may name the weights of a Hugging Face directory: the directory is then the model.
    if (!isDirectory && /\.(safetensors|loomq)$/.test(primary) && isHuggingFaceListing(await readdir(path.dirname(primary))))
      return { path: path.dirname(primary), isDirectory: true, outputDirectory: absolute };
    return { path: primary, isDirectory, outputDirectory: absolute };
  }
  if (names.includes('config.json')) {
    const onnx = isHuggingFaceListing(names) ? undefined : await onlyOnnxFile(absolute, names);
    return onnx ? { path: onnx, isDirectory: false } : { path: absolute, isDirectory: true };
  }
  return { path: await onlyModelFile(absolute, names), isDirectory: false };
}

/** The primary of report.json, or undefined if that file is someone else's. */
async function primaryOf(folder: string, limited: boolean): Promise<string | undefined> {
  const reportFile = path.join(folder, 'report.json');
  const report = await readJsonObject(limited ? await containedPath(folder, 'report.json', reportFile, limited) : reportFile);
  if (!isModelReport(report)) return undefined;
  const problem = reportProblem(report);
  if (problem !== undefined)
    throw malformedFile(reportFile, 0, 'invalid-report', `${problem}. Copy the whole output again, or name the model file itself`);
  const { primary } = report;
  if (primary === '' || primary === '.') return folder;
  return containedPath(folder, primary, reportFile, limited);
}

async function onlyOnnxFile(folder: string, names: readonly string[]): Promise<string | undefined> {
  const here = names.filter((name) => name.endsWith('.onnx')).map((name) => path.join(folder, name));
  const below = names.includes('onnx')
    ? (await readdir(path.join(folder, 'onnx')).catch(() => [])).map((name) => path.join(folder, 'onnx', name))
    : [];
  const all = [...here, ...below.filter((name) => name.endsWith('.onnx'))];
  return all.find((file) => path.basename(file) === 'model.onnx') ?? (all.length === 1 ? all[0] : undefined);
}

async function onlyModelFile(folder: string, names: readonly string[]): Promise<string> {
  // The graph next to an archive contains no weights.
  if (names.includes(archiveName) && names.includes(graphName)) return path.join(folder, archiveName);
  const files = names.filter((name) => Object.hasOwn(formatOfExtension, path.extname(name).toLowerCase()));
  const [only] = files;
  if (only !== undefined && files.length === 1) return path.join(folder, only);
  const found = files.length === 0 ? 'none of these' : `${files.length} model files: ${files.slice(0, 4).join(', ')}`;
  throw new LoomweightError(
    'unsupported',
    `A model directory contains config.json with weights, report.json, or one model file, but ${folder} contains ${found}. Name a file.`,
    { path: folder, diagnostic: 'not-a-model' },
  );
}

async function openFile(file: string, options: OpenOptions): Promise<TensorContainer> {
  const format = await sniff(file);
  switch (format) {
    case 'safetensors':
      return openSafetensors(file);
    case 'gguf':
      return openGgufFile(file, options);
    case 'npy':
      return openNpy(file);
    case 'archive':
      return openArchiveFile(file, options);
    case 'onnx':
      return openOnnx(file, { limited: options.limited ?? false });
    case undefined:
      throw new LoomweightError(
        'unsupported',
        `${file} is not a safetensors, ONNX, GGUF, .npy or .loomq file. Name one of these, or a model directory.`,
        {
          path: file,
          diagnostic: 'unknown-format',
        },
      );
    default:
      return assertNever(format);
  }
}

async function openGgufFile(file: string, options: OpenOptions): Promise<TensorContainer> {
  const container = await openGguf(file);
  if (!options.asHuggingFace) return container;
  try {
    checkWholeModel(container);
    if (!isConvertible(container)) return container;
    return await viewAsHuggingFace(container);
  } catch (error) {
    await container.close();
    throw error;
  }
}

/** An archive beside a config is a Hugging Face model, beside a graph without weights an ONNX model. */
async function openArchiveFile(file: string, options: OpenOptions): Promise<TensorContainer> {
  const folder = path.dirname(file);
  const names = await readdir(folder);
  if (path.basename(file) === archiveName && names.includes('config.json') && isHuggingFaceListing(names) && !names.some(isSafetensors))
    return openHuggingFace(folder, options);
  if (!options.asHuggingFace || !names.includes(graphName)) return openArchive(file);
  return openUnpacked(file, await containedPath(folder, graphName, file, options.limited ?? false));
}

function isSafetensors(name: string): boolean {
  return name.endsWith('.safetensors');
}

type FileFormat = 'safetensors' | 'onnx' | 'gguf' | 'npy' | 'archive';

const formatOfExtension: Readonly<Record<string, FileFormat>> = {
  '.safetensors': 'safetensors',
  '.onnx': 'onnx',
  '.gguf': 'gguf',
  '.npy': 'npy',
  [archiveExtension]: 'archive',
};

/** The format of a file: by its first bytes where these are sure (magic words, a safetensors header), else by extension. */
async function sniff(file: string): Promise<FileFormat | undefined> {
  const handle = await openRegularFile(file);
  try {
    const first = new Uint8Array(16);
    const { bytesRead } = await handle.read(first, 0, 16, 0);
    const head = Buffer.from(first.subarray(0, bytesRead)).toString('latin1');
    if (head.startsWith('GGUF')) return 'gguf';
    if (head.startsWith(archiveMagic)) return 'archive';
    if (head.startsWith('\x93NUMPY')) return 'npy';
    // A safetensors header begins with a length below 4 GB and an opening brace.
    if (head[8] === '{' && head.slice(4, 8) === '\0\0\0\0') return 'safetensors';
    return formatOfExtension[path.extname(file).toLowerCase()];
  } finally {
    await handle.close();
  }
}
