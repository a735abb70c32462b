import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteLength, elementCount } from '../../../protocol/dtypes';
import { createTemporaryFolder } from '../files/temporaryFolder';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorContainer } from '../container';
import { dataFiles } from '../dataFiles';
import { decodeToFloat32, encodeFromFloat32 } from '../decode';
import { malformedFile, quoteName } from '../malformed';
import { editModel } from '../onnx/editModel';
import { openOnnx } from '../onnx/openOnnx';
import { decodeTypeProto } from '../onnx/typeProto';
import { openArchive, type ArchiveContainer } from './openArchive';

/**
 * The graph stored next to the archive of an ONNX model: the original model with inputs in place of the weights that the archive contains.
 */
export const graphName = 'graph.onnx';

/** Number of bytes of a tensor that are unpacked into the file at a time. */
const chunk = 16 * 2 ** 20;
/** Larger models are written with their weights in a separate file: inside the model they would be in memory several times, here and in the runtime. */
const inlineLimit = 64 * 2 ** 20;

/** Writes the graph of an ONNX model without the weights that an archive contains: they become inputs of the same name. */
export async function writeEmptyGraph(model: string, target: string, names: Iterable<string>): Promise<void> {
  const editor = await editModel(model);
  try {
    for (const name of names) {
      const input = editor.hoistWeight(name);
      if (input !== name)
        throw new LoomweightError(
          'unsupported',
          `${model} has a weight '${name}' in a body and another value of that name, which the graph beside an archive cannot tell apart. Use an onnx format.`,
          { tensor: name, path: model },
        );
      editor.emptyWeight(name);
    }
    await editor.write(target);
  } finally {
    await editor.close();
  }
}

/** Puts the weights of an archive back into their graph, in the types that it declares, and writes a complete ONNX file. */
export async function writeFilledGraph(archive: ArchiveContainer, graph: string, target: string): Promise<void> {
  const editor = await editModel(graph);
  try {
    const inputs = new Map(editor.graph.input.map(({ name, type }) => [name, decodeTypeProto(type, name)]));
    let total = 0;
    for (const [name, { dtype, shape }] of archive.tensors) {
      // Archives hold compressed weights as float32; the nodes of the graph expect the type that the model had.
      const declared = inputs.get(name);
      if (declared === undefined)
        throw malformedFile(
          graph,
          0,
          'missing-input',
          `The graph has no input ${quoteName(name)} for the tensor of that name in the archive`,
        );
      const wanted = declared.dtype;
      const convert = wanted === dtype ? undefined : (piece: Uint8Array) => encodeFromFloat32(wanted, decodeToFloat32(dtype, piece));
      // An archive may have joined axes into rows and columns; the graph states the shape.
      const lengths = declared.shape?.filter((length) => typeof length === 'number') ?? [];
      const stated = elementCount(lengths) === elementCount(shape) ? lengths : shape;
      editor.fillInput(name, { dtype: wanted, shape: stated, pieces: () => piecesOf(archive, name, convert) });
      total += byteLength(wanted, shape);
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
  const folder = createTemporaryFolder('unpacked');
  try {
    const path = join(folder.path, 'model.onnx');
    await writeFilledGraph(archive, graph, path);
    const weightFiles = [file, ...(await filesOfGraph(graph))];
    const container = await openOnnx(path);
    return unpackedFrom(weightFiles, container, async () => {
      await container.close();
      await folder.remove();
    });
  } catch (error) {
    await folder.remove();
    throw error instanceof LoomweightError || !isDiskFull(error)
      ? error
      : new LoomweightError('insufficient-disk', `Not enough space in ${tmpdir()} to unpack ${file}.`, { path: file }, { cause: error });
  } finally {
    await archive.close();
  }
}

/** The file of the graph and those of the weights that it kept. */
async function filesOfGraph(path: string): Promise<readonly string[]> {
  const graph = await openOnnx(path);
  await graph.close();
  return dataFiles(graph);
}

/** The unpacked model, which states the files that the user has. */
function unpackedFrom(weightFiles: readonly string[], container: TensorContainer, close: () => Promise<void>): TensorContainer {
  const { format, path, tensors, metadata, diagnostics, graph } = container;
  return {
    format,
    path,
    tensors,
    metadata,
    diagnostics,
    ...(graph === undefined ? {} : { graph }),
    weightFiles,
    read: (name, range) => container.read(name, range),
    close,
  };
}

async function* piecesOf(
  archive: ArchiveContainer,
  name: string,
  convert: (piece: Uint8Array) => Uint8Array = (piece) => piece,
): AsyncIterable<Uint8Array> {
  const { bytes } = archive.tensors.get(name)!;
  for (let offset = 0; offset < bytes; offset += chunk)
    yield convert(await archive.read(name, { offset, length: Math.min(chunk, bytes - offset) }));
}

function isDiskFull(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ENOSPC';
}
