import { basename } from 'node:path';
import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { readGraph } from '../../formats/onnx/readGraph';
import type { Graph, Node, Value } from '../../graph/graph';
import { specializeGraph } from '../../graph/passes/specialize';
import type { ConstantData } from '../../graph/types';
import { operators } from '../../ops/index';
import type { BatchInput, TrainableBuffer, TrainableParameter } from '../contract';
import { graphTrainable, type OpenTrainable } from './graphTrainable';
import { findParameters, type FoundParameter } from './onnxParameters';
import { transposeMatrix } from './transposeMatrix';

const inputTypes: readonly string[] = ['float32', 'int64', 'int32', 'bool', 'uint8'] satisfies BatchInput['dtype'][];

/**
 * Opens an ONNX file for training. Its first axis of every input is the batch. The file is read whole; nothing of it stays open.
 * Errors: `unsupported` for inputs without a batch axis or of other types and for graphs without anything to train; `malformed-file`.
 */
export async function openOnnxTrainable(path: string): Promise<OpenTrainable> {
  const read = await readGraph(path, { operators, externalFrom: Infinity });
  const found = findParameters(read);
  if (found.parameters.length === 0)
    throw new LoomweightError(
      'unsupported',
      `There is nothing to train in ${path}: no float32 weights stand where operators take them. Give the float model.`,
      { path },
    );
  const graph = weightsAsInputs(read, found.parameters, found.buffers);
  const parameters = found.parameters.map((parameter) => trainableParameter(parameter, read));
  const buffers = found.buffers.map((value): TrainableBuffer => ({
    name: value.name,
    shape: value.type.shape as readonly number[],
    initial: async () => floats(read.constants.get(value) as ConstantData),
  }));
  const batchInputs = read.inputs.filter((value) => !read.constants.has(value));
  for (const input of batchInputs) requireBatchInput(input, path);
  const inputs = (batch: number): readonly BatchInput[] =>
    batchInputs.map(({ name, type }) => ({
      name,
      dtype: type.dtype as BatchInput['dtype'],
      shape: [batch, ...((type.shape as readonly (number | string)[]).slice(1) as readonly number[])],
    }));
  return graphTrainable({
    name: basename(path),
    kind: 'labels',
    parameters,
    buffers,
    inputs,
    graph: (batch) => specializeGraph(graph, Object.fromEntries(inputs(batch).map(({ name, shape }) => [name, shape])), operators),
    close: async () => undefined,
  });
}

/** The graph with its parameters and buffers as inputs; matrices as [in, out], and Gemm without transB for them. */
function weightsAsInputs(graph: Graph, parameters: readonly FoundParameter[], buffers: readonly Value[]): Graph {
  const held = new Map<Value, Value>();
  const inputs = [...graph.inputs];
  const constants = new Map(graph.constants);
  for (const { value, use, storedTransposed } of parameters) {
    const shape = value.type.shape as readonly number[];
    const turned = use === 'matrix' && !storedTransposed;
    const input = turned ? { name: value.name, type: { ...value.type, shape: [...shape].reverse() } } : value;
    if (turned) held.set(value, input);
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
  return { ...graph, inputs, nodes, constants };
}

function trainableParameter({ value, role, use, storedTransposed, used }: FoundParameter, graph: Graph): TrainableParameter {
  const stored = value.type.shape as readonly number[];
  const swapped = [...stored].reverse();
  const read = (): Float32Array => floats(graph.constants.get(value) as ConstantData);
  if (use !== 'matrix')
    return {
      name: value.name,
      role,
      shape: stored,
      heldShape: stored,
      held: 'canonical',
      storedTransposed: false,
      tiedTo: [],
      used,
      initial: async () => read(),
    };
  return {
    name: value.name,
    role,
    shape: storedTransposed ? swapped : stored,
    heldShape: storedTransposed ? stored : swapped,
    held: 'transposed',
    storedTransposed,
    tiedTo: [],
    used,
    initial: async () => (storedTransposed ? read() : transposeMatrix(read(), stored[0] as number, stored[1] as number)),
  };
}

function requireBatchInput({ name, type }: Value, path: string): void {
  const { shape, dtype } = type;
  const inner = shape?.slice(1) ?? ['?'];
  if (shape !== undefined && shape.length > 0 && inner.every((length) => typeof length === 'number') && inputTypes.includes(dtype)) return;
  throw new LoomweightError(
    'unsupported',
    `Training needs inputs of type ${inputTypes.join(', ')} with the batch as first axis and all other lengths fixed; ` +
      `'${name}' of ${path} is ${dtype} [${shape?.join(', ') ?? 'unknown'}].`,
    { input: name, dtype, shape },
  );
}

function floats(data: ConstantData): Float32Array {
  if (data.kind !== 'inline') throw new LoomweightError('internal', 'Weights for training are read into memory.');
  const count = elementCount(data.shape);
  // A copy with a buffer of its own: the bytes may be a view into the whole file.
  return new Float32Array(new Uint8Array(data.bytes).buffer, 0, count);
}
