import { open } from 'node:fs/promises';
import type { Attribute, Graph, Node, Value } from '../../graph/graph';
import type { ConstantData } from '../../graph/types';
import { encodeModel, inlineBytes, type ModelDescription } from './encodeModel';
import { ExternalDataWriter, writeAll } from './externalDataWriter';

/** Options for writing a graph to disk. */
export interface WriteOptions extends ModelDescription {
  /**
   * `never`: inline constants stay in the file (an error above 2 GiB). `auto` (default): they move to `<path>_data` if they exceed 1 GiB in
   * total. `always`: every constant of 1 KiB or more moves. Not for graphs that already have external constants: their creator writes the
   * data file.
   */
  readonly externalData?: 'never' | 'auto' | 'always';
}

/** Written files, with their sizes in bytes. */
export interface WrittenModel {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

const autoLimit = 2 ** 30;
const movedFrom = 1024;

/**
 * Writes a graph as an ONNX file at `path` (and its data file if needed), synced. `path` should be in a folder that the caller renames into
 * place when everything is done.
 */
export async function writeOnnxModel(graph: Graph, path: string, options: WriteOptions = {}): Promise<WrittenModel> {
  const policy = options.externalData ?? 'auto';
  const files: { path: string; bytes: number }[] = [];
  let written = graph;
  if (policy === 'always' || (policy === 'auto' && inlineBytes(graph) > autoLimit)) {
    const writer = await ExternalDataWriter.create(path);
    try {
      written = await moveConstants(graph, writer);
      await writer.close();
    } catch (error) {
      await writer.abandon();
      throw error;
    }
    files.push({ path: writer.path, bytes: writer.bytes });
  }
  const bytes = encodeModel(written, options);
  const file = await open(path, 'w');
  try {
    await writeAll(file, bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  return { files: [{ path, bytes: bytes.byteLength }, ...files] };
}

/** The graph with its larger constants in the data file. Values keep their identity, so that nodes are unchanged. */
async function moveConstants(graph: Graph, writer: ExternalDataWriter): Promise<Graph> {
  const constants = new Map<Value, ConstantData>();
  for (const [value, data] of graph.constants) constants.set(value, await moved(data, writer));
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const attributes: Record<string, Attribute> = {};
    for (const [name, attribute] of Object.entries(node.attributes))
      attributes[name] = attribute.kind === 'graph' ? { kind: 'graph', value: await moveConstants(attribute.value, writer) } : attribute;
    nodes.push({ ...node, attributes });
  }
  return { ...graph, constants, nodes };
}

async function moved(data: ConstantData, writer: ExternalDataWriter): Promise<ConstantData> {
  // Shapes, axes and other small integers stay: the runtime needs them to infer shapes.
  if (data.kind === 'external' || data.bytes.byteLength < movedFrom || data.dtype === 'string') return data;
  return writer.append(data.dtype, data.shape, data.bytes);
}
