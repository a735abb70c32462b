import type { TensorRole } from '../../protocol/model';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { isStandard } from '../formats/onnx/walk';

/** What an operator of an ONNX graph does with a weight that can be compressed. */
export interface ProductUse {
  readonly role: TensorRole;
  /** Axes of the weight, as the operator takes it, that the operator sums over: groups of codes follow them. Undefined where they are not known. */
  readonly summed: readonly number[] | undefined;
}

/** Operators that change shape, order or type of their first input and nothing else. */
export const passing: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/** Inputs that are weights of a recurrent layer: [directions, gates * hidden, inputs or hidden]. */
const recurrent: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'RNN']);
const products: ReadonlySet<string> = new Set(['MatMul', 'FusedMatMul']);
const generalProducts: ReadonlySet<string> = new Set(['Gemm', 'FusedGemm']);

/** The use of a weight with `rank` axes as an input of a product, convolution, recurrent layer or look-up; undefined for every other. */
export function productUse(node: NodeProto, input: number, rank: number): ProductUse | undefined {
  if (!isStandard(node) && node.domain !== 'com.microsoft') return undefined;
  const linear = (summed: readonly number[] | undefined): ProductUse => ({ role: 'linear', summed });
  const { opType } = node;
  const isFused = opType.startsWith('Fused');
  if (products.has(opType) && input < 2 && rank >= 2) {
    const turned = isFused && intAttribute(node, input === 0 ? 'transA' : 'transB', 0) !== 0;
    const batchTurned = isFused && intAttribute(node, input === 0 ? 'transBatchA' : 'transBatchB', 0) !== 0;
    return linear(batchTurned ? undefined : [(input === 0) === turned ? rank - 2 : rank - 1]);
  }
  if (generalProducts.has(opType) && input < 2 && rank === 2) {
    const turned = intAttribute(node, input === 0 ? 'transA' : 'transB', 0) !== 0;
    return linear([(input === 0) === turned ? 0 : 1]);
  }
  if (/^(Fused)?Conv$/.test(opType) && input === 1 && rank >= 3)
    return { role: 'convolution', summed: Array.from({ length: rank - 1 }, (_, axis) => axis + 1) };
  if (opType === 'ConvTranspose' && input === 1 && rank >= 3) return { role: 'convolution', summed: undefined };
  if (recurrent.has(opType) && (input === 1 || input === 2) && rank === 3) return linear([2]);
  if (opType === 'Attention' && node.domain === 'com.microsoft' && input === 1 && rank === 2) return linear([0]);
  if (opType === 'Einsum') return linear(summedLabels(node, input, rank));
  if (opType === 'Gather' && input === 0 && intAttribute(node, 'axis', 0) === 0 && rank >= 2)
    return { role: 'embedding', summed: Array.from({ length: rank - 1 }, (_, axis) => axis + 1) };
  return undefined;
}

/** Axes of an operand of Einsum that the output does not have. */
function summedLabels(node: NodeProto, input: number, rank: number): readonly number[] | undefined {
  const equation = Buffer.from(node.attribute.find(({ name }) => name === 'equation')?.s ?? []).toString('latin1');
  const [operands = '', output] = equation.replace(/\s/g, '').split('->');
  const labels = operands.split(',')[input];
  if (labels === undefined || output === undefined || labels.length !== rank || labels.includes('.')) return undefined;
  return [...labels].flatMap((label, axis) => (output.includes(label) ? [] : [axis]));
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
