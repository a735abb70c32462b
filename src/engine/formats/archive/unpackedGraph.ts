import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorContainer } from '../container';
import { malformedFile, quoteName } from '../malformed';
import { editModel } from '../onnx/editModel';
import { openOnnx } from '../onnx/openOnnx';
import { openArchive, type ArchiveContainer } from './openArchive';

/**
 * The graph stored next to the archive of an ONNX model: the original model with inputs in place of the weights that the archive contains.
 */
export const graphName = 'graph.onnx';

/** Number of bytes of a tensor that are unpacked into the file at a time. */
const chunk = 16 * 2 ** 20;
/** Larger models are written with their weights in a separate file. */
const inlineLimit = 2 ** 30;

/** Writes the graph of an ONNX model without the weights that an archive contains: they become inputs of the same name. */
export async function writeEmptyGraph(model: string, target: string, names: Iterable<string>): Promise<void> {
  const editor = await editModel(model);
  try {
    for (const name of names) editor.emptyWeight(name);
    await editor.write(target);
  } finally {
    await editor.close();
  }
}

/** Puts the weights of an archive back into their graph and writes a complete ONNX file. */
export async function writeFilledGraph(archive: ArchiveContainer, graph: string, target: string): Promise<void> {
  const editor = await editModel(graph);
  try {
    let total = 0;
    for (const [name, { dtype, shape, bytes }] of archive.tensors) {
      if (!editor.hasInput(name))
        throw malformedFile(
          graph,
          0,
          'missing-input',
          `The graph has no input ${quoteName(name)} for the tensor of that name in the archive`,
        );
      editor.fillInput(name, { dtype, shape, pieces: () => piecesOf(archive, name, bytes) });
      total += bytes;
    }
    await editor.write(target, { externalData: total > inlineLimit ? 'always' : 'never' });
  } finally {
    await editor.close();
  }
}

/**
 * Opens the archive of an ONNX model as an ONNX model: unpacked into a temporary folder that is removed when the container is closed.
 * Errors: `malformed-file` if archive and graph do not match; `insufficient-disk`.
 */
export async function openUnpacked(file: string, graph: string): Promise<TensorContainer> {
  const archive = await openArchive(file);
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-unpacked-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'model.onnx');
    await writeFilledGraph(archive, graph, path);
    const container = await openOnnx(path);
    return withClose(container, async () => {
      await container.close();
      await remove();
    });
  } catch (error) {
    await remove();
    throw error instanceof LoomweightError || !isDiskFull(error)
      ? error
      : new LoomweightError('insufficient-disk', `Not enough space in ${tmpdir()} to unpack ${file}.`, { path: file }, { cause: error });
  } finally {
    await archive.close();
  }
}

function withClose(container: TensorContainer, close: () => Promise<void>): TensorContainer {
  const { format, path, tensors, metadata, diagnostics, graph, weightFiles } = container;
  return {
    format,
    path,
    tensors,
    metadata,
    diagnostics,
    ...(graph === undefined ? {} : { graph }),
    ...(weightFiles === undefined ? {} : { weightFiles }),
    read: (name, range) => container.read(name, range),
    close,
  };
}

async function* piecesOf(archive: ArchiveContainer, name: string, bytes: number): AsyncIterable<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += chunk) yield await archive.read(name, { offset, length: Math.min(chunk, bytes - offset) });
}

function isDiskFull(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ENOSPC';
}
