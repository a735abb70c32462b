import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfCancelled } from '../../../protocol/errors';
import { editModel, type OnnxEditor } from '../../formats/onnx/editModel';
import type { NodeProto } from '../../formats/onnx/generated/onnx';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { GraphBuilder, int, ints } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Graph, Value } from '../../graph/graph';
import { operators } from '../../ops/index';
import { encodeFromFloat32 } from '../../formats/decode';
import { floatAttribute, intAttribute } from '../../models/compressibleWeights';
import { fingerprintOf } from '../planned/fingerprint';
import type { PlannedEntry } from '../planned/plannedStore';
import type { PlainValues } from '../planned/plannedTensor';
import type { Pieces } from '../storage/matrixForm';
import type { EncodedTensor, StoredPieces, StoredTensor } from '../storage/storedTensor';
import { layoutsOf } from './languageModel';
import { onnxReader, type StoredPlace } from './onnxReader';
import type { WriteJob, WrittenOutput } from './outputWriter';
import { inlineLimit } from './pieceStore';

/** How an ONNX model is rewritten. */
export interface OnnxCopyOutput {
  readonly file: string;
  /** Encodes one planned tensor. `linear`: every user is a product that a kernel of the form y = x W^T can take the place of. */
  encode(name: string, linear: boolean): Promise<EncodedTensor>;
  readonly expectedBytes: number;
}

/**
 * Rewrites an ONNX model: compressed weights are replaced by their stored pieces and the nodes that make use of them, plain values take the place of the
 * source's, everything else is written as it was, unknown fields included.
 */
export async function writeOnnxCopy(job: WriteJob, output: OnnxCopyOutput): Promise<WrittenOutput> {
  const { source, planned, folder, signal } = job;
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const path = join(folder, 'onnx', output.file);
  const editor = await editModel(source.container.path);
  const places = new Map<string, StoredPlace>();
  try {
    for (const entry of planned.entries())
      if (entry.layout.kind === 'plain') {
        const { dtype, values } = (await planned.get(entry.name)) as PlainValues;
        editor.replaceInitializer(entry.name, { dtype, shape: entry.storedShape, bytes: encodeFromFloat32(dtype, values) });
      }
    for (const name of planned.compressed()) {
      throwIfCancelled(signal);
      const entry = planned.entry(name) as PlannedEntry;
      const linear = usesAreLinear(editor, name);
      const { stored, pieces } = await output.encode(name, linear);
      editor.raiseOpset(stored.opset);
      const names = addPieces(editor, name, pieces);
      const rewrite = { editor, entry, stored, pieces, names };
      if (stored.matrix && !(stored.largerThanFolds && linear)) rewriteWeight(rewrite, stored.matrix);
      else for (const use of editor.weights().get(name)?.uses ?? []) rewriteUse(rewrite, use.node);
      places.set(name, { stored, pieces: names, ...(entry.transposed ? { transposed: true } : {}) });
      job.stored(
        name,
        Object.values(pieces).reduce((sum, piece) => sum + piece.bytes.byteLength, 0),
      );
    }
    editor.removeUnusedWeights();
    await editor.write(path, { externalData: output.expectedBytes <= inlineLimit ? 'never' : 'always' });
  } finally {
    await editor.close();
  }
  // Weights that nothing used are dropped.
  const written = await openOnnx(path);
  const values = [...source.tensors.values()].filter(
    ({ entry }) => !places.has(entry.name) && entry.dtype !== 'string' && written.tensors.has(entry.name),
  );
  await written.close();
  return {
    primary: `onnx/${output.file}`,
    integerActivations: false,
    layouts: layoutsOf(places),
    values: values.map(({ entry }) => entry.name),
    expected: fingerprintOf,
    open: () => onnxReader(path, places),
  };
}

/** Stores pieces as initialisers; gives their names. */
function addPieces(editor: OnnxEditor, weight: string, pieces: Pieces): Readonly<Record<string, string>> {
  const names: Record<string, string> = {};
  for (const [piece, { dtype, shape, bytes }] of Object.entries(pieces)) {
    const name = editor.uniqueName(`${weight}.${piece}`);
    editor.addInitializer(name, { dtype, shape, bytes });
    names[piece] = name;
  }
  return names;
}

/** True if a kernel of the form y = x W^T can take the place of every user. */
function usesAreLinear(editor: OnnxEditor, name: string): boolean {
  const weight = editor.weights().get(name);
  return weight?.dtype === 'float32' && weight.uses.every(({ node }) => node.opType === 'MatMul' || isPlainGemm(node));
}

function isPlainGemm(node: NodeProto): boolean {
  return (
    node.opType === 'Gemm' &&
    intAttribute(node, 'transA', 0) === 0 &&
    floatAttribute(node, 'alpha', 1) === 1 &&
    floatAttribute(node, 'beta', 1) === 1
  );
}

/** One weight being rewritten. */
interface Rewrite {
  readonly editor: OnnxEditor;
  readonly entry: PlannedEntry;
  readonly stored: StoredTensor;
  readonly pieces: Pieces;
  /** Name in the file by the ending of the piece. */
  readonly names: Readonly<Record<string, string>>;
}

/** The pieces as constants of a small graph. */
function pieceValues(build: GraphBuilder, { pieces, names }: Rewrite): StoredPieces {
  return Object.fromEntries(
    Object.entries(pieces).map(([piece, { dtype, shape, bytes }]) => [
      piece,
      build.constant({ kind: 'inline', dtype, shape, bytes }, names[piece] as string),
    ]),
  );
}

/** Rebuilds the weight once, in the shape that the file had, in front of all nodes; its users take that value. */
function rewriteWeight(rewrite: Rewrite, matrix: NonNullable<StoredTensor['matrix']>): void {
  const { editor, entry, stored, names } = rewrite;
  const build = new GraphBuilder(operators, entry.name, stored.opset);
  const values = pieceValues(build, rewrite);
  let weight = entry.transposed && stored.dense ? stored.dense(build, values) : matrix(build, values);
  weight = inStoredType(editor, entry, build, build.op('Reshape', [weight, build.int64(entry.storedShape)]));
  build.output(weight);
  const uses = editor.weights().get(entry.name)?.uses ?? [];
  if (uses.length === 0) return;
  const name = editor.uniqueName(`${entry.name}_weights`);
  splice(editor, undefined, build.finish(), new Map(), names, name);
  for (const { node, input } of uses) editor.replaceInput(node, input, name);
}

/** A float32 weight in the type that its users expect. */
function inStoredType(editor: OnnxEditor, entry: PlannedEntry, build: GraphBuilder, weight: Value): Value {
  const dtype = editor.weights().get(entry.name)?.dtype ?? 'float32';
  return dtype === 'float32' ? weight : build.op('Cast', [weight], { to: int(elementTypeOf(dtype) as number) });
}

/** Puts the form's nodes in front of a user, or in its place. */
function rewriteUse(rewrite: Rewrite, node: NodeProto): void {
  const { editor, entry, stored, names } = rewrite;
  const build = new GraphBuilder(operators, entry.name, stored.opset);
  const values = pieceValues(build, rewrite);
  if (!stored.dense || stored.largerThanFolds) {
    const x = build.input('x', { dtype: 'float32', shape: ['rows', stored.columns] });
    let y = stored.linear(build, values, x);
    const bias = node.opType === 'Gemm' ? node.input[2] : undefined;
    const outer = new Map([['x', node.input[0] as string]]);
    if (bias) {
      const biasInput = build.input('bias', { dtype: 'float32', shape: [stored.rows] });
      outer.set('bias', bias);
      y = build.op('Add', [y, biasInput]);
    }
    build.output(y);
    splice(editor, node, build.finish(), outer, names, node.output[0] as string);
    editor.removeNode(node);
    return;
  }
  let weight = stored.dense(build, values);
  if (node.opType === 'Conv') {
    weight = build.op('Reshape', [build.op('Transpose', [weight], { perm: ints([1, 0]) }), build.int64(entry.storedShape)]);
  }
  // A weight [columns, rows] in front of the product is what the runtime can fuse: the Gemm takes it untransposed.
  if (node.opType === 'Gemm') node.attribute = node.attribute.filter(({ name }) => name !== 'transB');
  weight = inStoredType(editor, entry, build, weight);
  build.output(weight);
  const name = editor.uniqueName(`${entry.name}_weights`);
  splice(editor, node, build.finish(), new Map(), names, name);
  editor.replaceInput(node, 1, name);
}

/** Inserts a small graph's nodes before a node, or before all, under names that the model does not have; its single output gets `outputName`. */
function splice(
  editor: OnnxEditor,
  before: NodeProto | undefined,
  graph: Graph,
  outer: ReadonlyMap<string, string>,
  stored: Readonly<Record<string, string>>,
  outputName: string,
): void {
  const known = new Map(outer);
  for (const name of Object.values(stored)) known.set(name, name);
  for (const [value, data] of graph.constants) {
    if (known.has(value.name) || data.kind !== 'inline') continue;
    const name = editor.uniqueName(`${graph.name}.${value.name}`);
    editor.addInitializer(name, data);
    known.set(value.name, name);
  }
  known.set((graph.outputs[0] as Value).name, outputName);
  const nameOf = (value: Value | undefined): string => {
    if (value === undefined) return '';
    const name = known.get(value.name) ?? editor.uniqueName(`${graph.name}/${value.name}`);
    known.set(value.name, name);
    return name;
  };
  const nodes = graph.nodes.map(({ op, domain, inputs, outputs, attributes }) => ({
    op,
    domain,
    inputs: inputs.map(nameOf),
    outputs: outputs.map(nameOf),
    attributes,
  }));
  if (before === undefined) editor.insertFirst(nodes);
  else editor.insertBefore(before, nodes);
}
