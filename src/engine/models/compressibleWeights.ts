import type { TensorRole } from '../../protocol/model';
import { editModel, type EditableWeight } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';

/** A weight of an ONNX graph that can be compressed. */
export interface OnnxWeightUse {
  readonly role: TensorRole;
  /** True for [in, out]. */
  readonly transposed: boolean;
}

/** Weights by name of which every use is the weight input of MatMul, Gemm or Conv in the main graph, all in one orientation. */
export async function findOnnxWeights(path: string): Promise<ReadonlyMap<string, OnnxWeightUse>> {
  const editor = await editModel(path);
  try {
    const inMain = new Set(editor.graph.node);
    const outputs = new Set(editor.graph.output.map(({ name }) => name));
    const found = new Map<string, OnnxWeightUse>();
    for (const weight of editor.weights().values()) {
      const uses = weight.uses.map(({ node, input }) => (inMain.has(node) && input === 1 ? useOf(node, weight) : undefined));
      const first = uses[0];
      if (!first || outputs.has(weight.name)) continue;
      if (uses.every((use) => use?.role === first.role && use.transposed === first.transposed)) found.set(weight.name, first);
    }
    return found;
  } finally {
    await editor.close();
  }
}

function useOf(node: NodeProto, { shape }: EditableWeight): OnnxWeightUse | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined;
  if (node.opType === 'MatMul' && shape.length === 2) return { role: 'linear', transposed: true };
  if (node.opType === 'Gemm' && shape.length === 2) return { role: 'linear', transposed: intAttribute(node, 'transB', 0) === 0 };
  if (node.opType === 'Conv' && shape.length >= 3) return { role: 'convolution', transposed: false };
  return undefined;
}

/** An int attribute of a node. */
export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const attribute = node.attribute.find((each) => each.name === name);
  return attribute === undefined ? fallback : Number(attribute.i);
}

/** A float attribute of a node. */
export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return node.attribute.find((each) => each.name === name)?.f ?? fallback;
}
