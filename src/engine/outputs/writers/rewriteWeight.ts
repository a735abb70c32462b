import type { NodeProto } from '../../formats/onnx/generated/onnx';
import type { OnnxEditor } from '../../formats/onnx/editModel';
import { isStandard } from '../../formats/onnx/walk';
import { GraphBuilder, int, ints } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Graph, Value } from '../../graph/graph';
import { viewOf } from '../../models/compressibleWeights';
import { floatAttribute, intAttribute } from '../../models/productUse';
import { weightPlaces, type WeightPlace } from '../../models/weightPlaces';
import { operators } from '../../ops/index';
import type { DType } from '../../../protocol/dtypes';
import type { PlannedEntry } from '../planned/plannedStore';
import { isDequantized } from './dequantizedValue';
import type { Pieces } from '../storage/matrixForm';
import type { StoredPieces, StoredTensor } from '../storage/storedTensor';

/** Where a weight is taken in the model that is rewritten. */
export interface WeightUses {
  readonly name: string;
  readonly dtype: DType;
  readonly places: readonly WeightPlace[];
  /** True if each place is a product or convolution of the main graph that takes the planned matrix: the form's nodes are then put there. */
  readonly direct: boolean;
  /** True if a kernel of the form y = x W^T can take the place of every user. */
  readonly linear: boolean;
  /** True if rows of it are looked up, and nothing else. */
  readonly lookedUp: boolean;
}

/** `name`: that of the weight in the main graph. */
export function usesOfWeight(editor: OnnxEditor, name: string, { transposed, role }: PlannedEntry): WeightUses {
  const weight = editor.weights().get(name);
  if (weight === undefined) return { name, dtype: 'float32', places: [], direct: true, linear: false, lookedUp: false };
  const places = weightPlaces(editor, weight);
  const direct = places.every((place) => {
    const { transposed: turned, rowAxes } = viewOf(weight.shape, place);
    return isDirect(editor, place) && turned === transposed && rowAxes === undefined;
  });
  return {
    name,
    dtype: weight.dtype,
    places,
    direct,
    linear: direct && places.every(({ node, dtype }) => dtype === 'float32' && (node.opType === 'MatMul' || isPlainGemm(node))),
    lookedUp:
      role === 'embedding' && places.every(({ node, chain }) => node.opType === 'Gather' && chain.length === 0 && !editor.bodyOf(node)),
  };
}

function isDirect(editor: OnnxEditor, { node, input, chain, axes }: WeightPlace): boolean {
  if (!isStandard(node) || input !== 1 || editor.bodyOf(node) !== undefined) return false;
  if (node.opType === 'Conv') return chain.length === 0;
  return (
    (node.opType === 'MatMul' || node.opType === 'Gemm') &&
    axes?.length === 2 &&
    chain.every((each) => !editor.bodyOf(each) && (each.opType !== 'Cast' || intAttribute(each, 'to', 0) === elementTypeOf('float32')))
  );
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
export interface Rewrite {
  readonly editor: OnnxEditor;
  readonly entry: PlannedEntry;
  readonly uses: WeightUses;
  readonly stored: StoredTensor;
  readonly pieces: Pieces;
  /** Name in the file by the ending of the piece. */
  readonly names: Readonly<Record<string, string>>;
}

/** Puts what was stored in the place of a weight. */
export function rewriteWeight(rewrite: Rewrite): void {
  const { stored, uses } = rewrite;
  if (uses.lookedUp && stored.gather) for (const { node } of uses.places) rewriteLookUp(rewrite, node);
  else if (uses.direct && !(stored.matrix && !(stored.largerThanFolds && uses.linear)))
    for (const place of uses.places) rewriteUse(rewrite, place);
  else rebuildWeight(rewrite);
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

/**
 * Rebuilds the weight once, in the shape and type that the file had, in front of all nodes of the main graph; its users take that value. Those in bodies as well: a
 * Loop would rebuild it in every step, and ONNX Runtime 1.30 cannot load a body with DequantizeLinear and MatMul whose codes are in the main graph.
 */
function rebuildWeight(rewrite: Rewrite): void {
  const { editor, entry, stored, names, uses } = rewrite;
  const build = new GraphBuilder(operators, entry.name, stored.opset);
  const values = pieceValues(build, rewrite);
  let weight: Value;
  if (entry.transposed && stored.dense) weight = stored.dense(build, values);
  else if (stored.matrix) weight = stored.matrix(build, values);
  else weight = build.op('Transpose', [stored.dense!(build, values)], { perm: ints([1, 0]) });
  weight = inType(build, build.op('Reshape', [weight, build.int64(entry.storedShape)]), uses.dtype);
  build.output(weight);
  const takers = editor.weights().get(uses.name)?.uses ?? [];
  if (takers.length === 0) return;
  const name = editor.uniqueName(`${entry.name}_weights`);
  splice(editor, undefined, build.finish(), new Map(), names, name);
  for (const { node, input } of takers) editor.replaceInput(node, input, name);
}

/** A float32 value in another type. */
function inType(build: GraphBuilder, value: Value, dtype: DType): Value {
  return dtype === 'float32' ? value : build.op('Cast', [value], { to: int(elementTypeOf(dtype) as number) });
}

/** Looks rows up packed, for indices of any shape. */
function rewriteLookUp(rewrite: Rewrite, node: NodeProto): void {
  const { editor, entry, stored, names, uses } = rewrite;
  const build = new GraphBuilder(operators, entry.name, stored.opset);
  const values = pieceValues(build, rewrite);
  const ids = build.input('ids', { dtype: 'int64', shape: undefined });
  const rows = stored.gather!(build, values, build.op('Reshape', [ids, build.int64([1, -1])]));
  const shape = build.op('Concat', [build.op('Shape', [ids]), build.int64(entry.storedShape.slice(1))], { axis: int(0) });
  build.output(inType(build, build.op('Reshape', [rows, shape]), uses.dtype));
  const outer = new Map([['ids', node.input[1] as string]]);
  splice(editor, node, build.finish(), outer, names, node.output[0] as string);
  editor.removeNode(node);
}

/** Puts the form's nodes in front of a user, or in its place. */
function rewriteUse(rewrite: Rewrite, { node, chain, dtype, input }: WeightPlace): void {
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
  } else {
    let weight = stored.dense(build, values);
    if (node.opType === 'Conv')
      weight = build.op('Reshape', [build.op('Transpose', [weight], { perm: ints([1, 0]) }), build.int64(entry.storedShape)]);
    else if (stored.fusesWrongly?.(node.opType) === true && isDequantized(editor, node.input[0] ?? ''))
      weight = build.op('Reshape', [weight, build.int64([stored.columns, stored.rows])]);
    // A weight [columns, rows] in front of the product is what the runtime can fuse: the Gemm takes it untransposed.
    if (node.opType === 'Gemm') node.attribute = node.attribute.filter(({ name }) => name !== 'transB');
    build.output(inType(build, weight, dtype));
    const name = editor.uniqueName(`${entry.name}_weights`);
    splice(editor, node, build.finish(), new Map(), names, name);
    editor.replaceInput(node, input, name);
  }
  // What only rearranged the weight has no user any more.
  for (const each of [...chain].reverse()) if (editor.usesOf(each.output[0] as string).length === 0) editor.removeNode(each);
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
