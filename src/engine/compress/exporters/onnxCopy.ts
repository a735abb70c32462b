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
import { dequantizeLinear } from '../forms/dequantizeLinear';
import type { MatrixForm, MatrixLayout, Pieces, TensorBytes } from '../forms/matrixForm';
import { floatAttribute, intAttribute } from '../onnxWeights';
import type { TensorPlan } from '../plan';
import { dequantize, digestOf, digestOfBytes } from '../quantizeTensor';
import type { ExportJob, ExportResult } from './exporter';
import { inlineLimit } from './pieceStore';

/** How an ONNX model is rewritten. */
export interface OnnxCopyOutput {
  readonly file: string;
  formFor(plan: TensorPlan): MatrixForm;
  readonly expectedBytes: number;
}

interface Expectation {
  readonly form: MatrixForm;
  readonly layout: MatrixLayout;
  /** Name in the file by the ending of the piece. */
  readonly names: Readonly<Record<string, string>>;
  readonly digest: string;
}

/**
 * Rewrites an ONNX model: compressed weights are replaced by their stored pieces and the nodes that make use of them, everything else is written
 * as it was, unknown fields included.
 */
export async function writeOnnxCopy(job: ExportJob, output: OnnxCopyOutput): Promise<ExportResult> {
  const { source, folder, signal } = job;
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const path = join(folder, 'onnx', output.file);
  const editor = await editModel(source.container.path);
  const expectations = new Map<string, Expectation>();
  try {
    for (const [name, plan] of job.plan) {
      throwIfCancelled(signal);
      const chosen = output.formFor(plan);
      const form = chosen.dense || usesAreLinear(editor, name) ? chosen : dequantizeLinear;
      if (form !== chosen) job.note(`'${name}' is stored for DequantizeLinear: the fast kernel has no form for its operator.`);
      const matrix = await job.quantize(name);
      const pieces = form.encode(matrix);
      const { codes: _codes, scales: _scales, zeroPoints: _zeroPoints, ...layout } = matrix;
      editor.raiseOpset(form.opset(layout));
      const names = addPieces(editor, name, pieces);
      for (const use of editor.weights().get(name)?.uses ?? []) rewriteUse(editor, use.node, plan, form, layout, pieces, names);
      expectations.set(name, { form, layout, names, digest: digestOf(matrix) });
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
  const decode = async (name: string) => {
    const { form, layout, names } = expectations.get(name)!;
    const written = await openOnnx(path);
    try {
      const read: Record<string, TensorBytes> = {};
      for (const [piece, stored] of Object.entries(names)) {
        const entry = written.tensors.get(stored);
        if (entry) read[piece] = { dtype: entry.dtype, shape: entry.shape, bytes: await written.read(stored) };
      }
      return { layout, values: form.decode(read, layout) };
    } finally {
      await written.close();
    }
  };
  return {
    primary: `onnx/${output.file}`,
    integerActivations: false,
    readWeights: async (name, target) => {
      const { layout, values } = await decode(name);
      return dequantize({ ...layout, ...values }, target);
    },
    verifyBytes: async (abort) => {
      const mismatches: string[] = [];
      for (const [name, { digest }] of expectations) {
        throwIfCancelled(abort);
        const digestRead = await decode(name).then(
          ({ values }) => digestOf(values),
          () => undefined,
        );
        if (digestRead !== digest) mismatches.push(name);
      }
      const untouched = await compareUntouched(job, path, new Set(expectations.keys()));
      return { tensors: expectations.size + untouched.tensors, mismatches: [...mismatches, ...untouched.mismatches] };
    },
  };
}

/** Compares every weight that was not compressed with the source. Weights that nothing used are dropped and not compared. */
async function compareUntouched(
  { source, signal }: ExportJob,
  path: string,
  compressed: ReadonlySet<string>,
): Promise<{ readonly tensors: number; readonly mismatches: readonly string[] }> {
  const written = await openOnnx(path);
  const mismatches: string[] = [];
  let tensors = 0;
  try {
    for (const [name, { entry }] of source.tensors) {
      throwIfCancelled(signal);
      if (compressed.has(name) || !written.tensors.has(name) || entry.dtype === 'string') continue;
      tensors += 1;
      if (digestOfBytes(await written.read(name)) !== digestOfBytes(await source.container.read(name))) mismatches.push(name);
    }
    return { tensors, mismatches };
  } finally {
    await written.close();
  }
}

/** Stores pieces as initialisers; gives their names. */
function addPieces(editor: OnnxEditor, weight: string, pieces: Pieces): Readonly<Record<string, string>> {
  const names: Record<string, string> = {};
  for (const [piece, { dtype, shape, bytes }] of Object.entries(pieces)) {
    // addInitializer claims the name itself; a taken one gets a suffix.
    let name = `${weight}.${piece}`;
    for (let suffix = 1; editor.weights().has(name); suffix += 1) name = `${weight}.${piece}_${suffix}`;
    editor.addInitializer(name, { dtype, shape, bytes });
    names[piece] = name;
  }
  return names;
}

/** True where a kernel of the form y = x W^T can take the place of every user. */
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

/** Puts the form's nodes in front of a user, or in its place. */
function rewriteUse(
  editor: OnnxEditor,
  node: NodeProto,
  plan: TensorPlan,
  form: MatrixForm,
  layout: MatrixLayout,
  pieces: Pieces,
  names: Readonly<Record<string, string>>,
): void {
  const build = new GraphBuilder(operators, plan.tensor.name, form.opset(layout));
  const stored = Object.fromEntries(
    Object.entries(pieces).map(([piece, { dtype, shape, bytes }]) => [
      piece,
      build.constant({ kind: 'inline', dtype, shape, bytes }, names[piece] as string),
    ]),
  );
  if (!form.dense) {
    const x = build.input('x', { dtype: 'float32', shape: ['rows', layout.columns] });
    let y = form.linear(build, stored, layout, x);
    const bias = node.opType === 'Gemm' ? node.input[2] : undefined;
    const outer = new Map([['x', node.input[0] as string]]);
    if (bias) {
      const biasInput = build.input('bias', { dtype: 'float32', shape: [layout.rows] });
      outer.set('bias', bias);
      y = build.op('Add', [y, biasInput]);
    }
    build.output(y);
    splice(editor, node, build.finish(), outer, names, node.output[0] as string);
    editor.graph.node.splice(editor.graph.node.indexOf(node), 1);
    return;
  }
  let weight: Value = form.dense(build, stored, layout);
  if (node.opType === 'Conv') {
    weight = build.op('Reshape', [build.op('Transpose', [weight], { perm: ints([1, 0]) }), build.int64(plan.storedShape)]);
  }
  // A weight [columns, rows] in front of the product is what the runtime can fuse: the Gemm takes it untransposed.
  if (node.opType === 'Gemm') node.attribute = node.attribute.filter(({ name }) => name !== 'transB');
  const dtype = editor.weights().get(plan.tensor.name)?.dtype ?? 'float32';
  if (dtype !== 'float32') weight = build.op('Cast', [weight], { to: int(elementTypeOf(dtype) as number) });
  build.output(weight);
  const name = editor.uniqueName(`${plan.tensor.name}_weights`);
  splice(editor, node, build.finish(), new Map(), names, name);
  editor.replaceInput(node, 1, name);
}

/** Inserts a small graph's nodes before a node, under names that the model does not have; its single output gets `outputName`. */
function splice(
  editor: OnnxEditor,
  before: NodeProto,
  graph: Graph,
  outer: ReadonlyMap<string, string>,
  stored: Readonly<Record<string, string>>,
  outputName: string,
): void {
  const known = new Map(outer);
  for (const name of Object.values(stored)) known.set(name, name);
  for (const [value, data] of graph.constants) {
    if (known.has(value.name) || data.kind !== 'inline') continue;
    let name = `${graph.name}.${value.name}`;
    for (let suffix = 1; editor.weights().has(name); suffix += 1) name = `${graph.name}.${value.name}_${suffix}`;
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
  editor.insertBefore(
    before,
    graph.nodes.map(({ op, domain, inputs, outputs, attributes }) => ({
      op,
      domain,
      inputs: inputs.map(nameOf),
      outputs: outputs.map(nameOf),
      attributes,
    })),
  );
}
