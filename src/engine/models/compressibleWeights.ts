import type { TensorRole } from '../../protocol/model';
import { editModel, type EditableWeight } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { weightUse } from './weightUse';

/** A weight of an ONNX graph that can be compressed. */
export interface OnnxWeightUse {
  readonly role: TensorRole;
  /** True for [in, out]. */
  readonly transposed: boolean;
}

/** Weights by name of which every use is that of a product or convolution in the main graph (see `weightUse`), all in one orientation. */
export async function findOnnxWeights(path: string): Promise<ReadonlyMap<string, OnnxWeightUse>> {
  const editor = await editModel(path);
  try {
    const inMain = new Set(editor.graph.node);
    const outputs = new Set(editor.graph.output.map(({ name }) => name));
    const found = new Map<string, OnnxWeightUse>();
    for (const weight of editor.weights().values()) {
      const uses = weight.uses.map(({ node, input }) => (inMain.has(node) ? useOf(node, weight, input) : undefined));
      const first = uses[0];
      if (!first || outputs.has(weight.name)) continue;
      if (uses.every((use) => use?.role === first.role && use.transposed === first.transposed)) found.set(weight.name, first);
    }
    return found;
  } finally {
    await editor.close();
  }
}

function useOf(node: NodeProto, { shape }: EditableWeight, input: number): OnnxWeightUse | undefined {
  const int = (name: string, fallback: number): number => intAttribute(node, name, fallback);
  const use = weightUse({ op: node.opType, domain: node.domain, input, shape, int });
  return use?.orientation && { role: use.role, transposed: use.orientation === 'in-out' };
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
