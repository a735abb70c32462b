import { basename } from 'node:path';
import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { gradientReach } from '../../autodiff/gradientReach';
import { editModel, type OnnxEditor } from '../../formats/onnx/editModel';
import { readGraph } from '../../formats/onnx/readGraph';
import type { Graph, Node, Value } from '../../graph/graph';
import { shareCopies, type SharedCopy } from '../../graph/passes/shareCopies';
import { specializeGraph, workingOpset } from '../../graph/passes/specialize';
import type { ConstantData } from '../../graph/types';
import { operators } from '../../ops/index';
import type { TrainableBuffer, TrainableParameter } from '../contract';
import { batchInputs, type TrainingArrays } from './axisLengths';
import { releaseArrays } from '../../runtime/releaseArrays';
import { graphTrainable, type OpenTrainable } from './graphTrainable';
import { findParameters, type FoundParameter } from './onnxParameters';
import { trainingNotes } from './trainingNotes';
import { transposeMatrix } from '../../kernels/host/transposeMatrix';

/** Weights of this many bytes are read again when they are asked for. */
const largeBytes = 1 << 20;

/**
 * Opens an ONNX file for training. Its first axis of every input is the batch; other lengths that the graph only names are those of `arrays`. A matrix that the
 * file holds twice, as it is or transposed, is one parameter. Large weights are not kept in memory but read again whenever their values are asked for: a training holds
 * a copy of its own. Close what is opened.
 * Errors: `unsupported` for inputs without a batch axis or of other types, for lengths that nothing tells, and for graphs without anything to train;
 * `malformed-file`.
 */
export async function openOnnxTrainable(path: string, arrays?: TrainingArrays): Promise<OpenTrainable> {
  const editor = await editModel(path);
  try {
    return await openWith(editor, path, arrays);
  } catch (error) {
    await editor.close();
    throw error;
  }
}

async function openWith(editor: OnnxEditor, path: string, arrays: TrainingArrays | undefined): Promise<OpenTrainable> {
  const { graph: read, copies } = shareCopies(await readGraph(path, { operators, externalFrom: Infinity, opset: workingOpset }));
  const found = findParameters(read, gradientReach(read, operators));
  if (found.parameters.length === 0)
    throw new LoomweightError(
      'unsupported',
      `There is nothing to train in ${path}: no operator has float32 weights. Use the float model.`,
      { path },
    );
  const notes = trainingNotes(read, found, path);
  const graph = weightsAsInputs(read, found.parameters, found.buffers);
  const reread = new Set<Uint8Array>();
  const valuesOf = (value: Value): (() => Promise<Float32Array>) => {
    const data = read.constants.get(value) as ConstantData;
    if (data.kind !== 'inline' || data.bytes.byteLength < largeBytes || !editor.weights().has(value.name)) return async () => floats(data);
    reread.add(data.bytes);
    const { name } = value;
    const { shape } = data;
    return async () => floats({ kind: 'inline', dtype: 'float32', shape, bytes: await editor.read(name) });
  };
  const parameters = found.parameters.map((parameter) => trainableParameter(parameter, valuesOf(parameter.value), copies));
  const buffers = found.buffers.map((value): TrainableBuffer => ({
    name: value.name,
    shape: value.type.shape as readonly number[],
    initial: valuesOf(value),
  }));
  releaseArrays(reread, inlineBytes(graph));
  const given = read.inputs.filter((value) => !read.constants.has(value));
  const inputs = await batchInputs(given, path, arrays);
  return graphTrainable({
    name: basename(path),
    kind: 'labels',
    notes,
    parameters,
    buffers,
    inputs,
    graph: (batch) => specializeGraph(graph, Object.fromEntries(inputs(batch).map(({ name, shape }) => [name, shape])), operators),
    close: () => editor.close(),
  });
}

/** The graph with its parameters and buffers as inputs; matrices as [in, out], and products of them without transposition. */
function weightsAsInputs(graph: Graph, parameters: readonly FoundParameter[], buffers: readonly Value[]): Graph {
  const held = new Map<Value, Value>();
  const inputs = [...graph.inputs];
  const constants = new Map(graph.constants);
  for (const { value, matrixValues, storedTransposed } of parameters) {
    const shape = value.type.shape as readonly number[];
    const turned = matrixValues.length > 0 && !storedTransposed;
    const input = turned ? { name: value.name, type: { ...value.type, shape: [...shape].reverse() } } : value;
    for (const side of matrixValues) held.set(side, input);
    constants.delete(value);
    inputs.push(input);
  }
  for (const value of buffers) {
    constants.delete(value);
    inputs.push(value);
  }
  const nodes = graph.nodes.map((node): Node => {
    const weight = node.inputs[1] && held.get(node.inputs[1]);
    if (!weight) return node;
    const { transB: _transB, ...attributes } = node.attributes;
    return { ...node, inputs: node.inputs.map((input, index) => (index === 1 ? weight : input)), attributes };
  });
  // A Transpose between a matrix and its products no longer has an input or a use.
  const known = new Set<Value>([
    ...inputs,
    ...constants.keys(),
    ...nodes.flatMap(({ outputs }) => outputs.flatMap((output) => output ?? [])),
  ]);
  return { ...graph, inputs, nodes: nodes.filter((node) => node.inputs.every((input) => !input || known.has(input))), constants };
}

function trainableParameter(
  { value, role, matrixValues, storedTransposed, used }: FoundParameter,
  read: () => Promise<Float32Array>,
  copies: ReadonlyMap<string, SharedCopy>,
): TrainableParameter {
  const stored = value.type.shape as readonly number[];
  const swapped = [...stored].reverse();
  const tied = [...copies].filter(([, { original }]) => original === value.name);
  const common = {
    name: value.name,
    role,
    storedTransposed,
    tiedTo: tied.map(([name]) => name),
    transposedCopies: tied.filter(([, { transposed }]) => transposed).map(([name]) => name),
    used,
  };
  if (matrixValues.length === 0) return { ...common, shape: stored, heldShape: stored, held: 'canonical', initial: read };
  return {
    ...common,
    shape: storedTransposed ? swapped : stored,
    heldShape: storedTransposed ? stored : swapped,
    held: 'transposed',
    initial: async () => {
      const values = await read();
      return storedTransposed ? values : transposeMatrix(values, stored[0] as number, stored[1] as number);
    },
  };
}

/** Values of the constants that a graph holds itself. */
function inlineBytes({ constants }: Graph): readonly Uint8Array[] {
  return [...constants.values()].flatMap((data) => (data.kind === 'inline' ? [data.bytes] : []));
}

function floats(data: ConstantData): Float32Array {
  if (data.kind !== 'inline') throw new LoomweightError('internal', 'Weights for training must be in memory.');
  const count = elementCount(data.shape);
  // A copy with its own buffer: the bytes may be a view of the whole file.
  return new Float32Array(new Uint8Array(data.bytes).buffer, 0, count);
}
