import type { TensorRole } from '../../protocol/model';
import { isStandard } from '../formats/onnx/walk';

/** A place where a graph takes a tensor. */
export interface TensorPlace {
  readonly op: string;
  /** '' and 'ai.onnx' are the standard operators. */
  readonly domain: string;
  /** Which of the operator's inputs. */
  readonly input: number;
  /** Shape of the weight. */
  readonly shape: readonly number[];
  /** An int attribute of the node. */
  int(name: string, fallback: number): number;
}

/** What an operator does with a weight. */
export interface WeightUse {
  readonly role: TensorRole;
  /**
   * Set for the weights of products and convolutions, which methods quantise row by row: `out-in` where the outputs are the first axis ([out, in], and kernels
   * [out, in, ...]), `in-out` for [in, out].
   */
  readonly orientation: 'in-out' | 'out-in' | undefined;
}

/** Role by operator and input. */
const roles: Readonly<Record<string, Readonly<Record<number, TensorRole>>>> = {
  MatMul: { 0: 'linear', 1: 'linear' },
  Gemm: { 0: 'linear', 1: 'linear', 2: 'bias' },
  Conv: { 1: 'convolution', 2: 'bias' },
  ConvTranspose: { 1: 'convolution', 2: 'bias' },
  BatchNormalization: { 1: 'norm', 2: 'bias' },
  InstanceNormalization: { 1: 'norm', 2: 'bias' },
  LayerNormalization: { 1: 'norm', 2: 'bias' },
  GroupNormalization: { 1: 'norm', 2: 'bias' },
  RMSNormalization: { 1: 'norm' },
  SimplifiedLayerNormalization: { 1: 'norm' },
  PRelu: { 1: 'other' },
  Gather: { 0: 'embedding' },
  Einsum: { 0: 'linear', 1: 'linear' },
  Add: { 0: 'bias', 1: 'bias' },
  Sub: { 0: 'bias', 1: 'bias' },
  Mul: { 0: 'norm', 1: 'norm' },
};

const elementwise: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul']);

/**
 * What training takes the tensors of an ONNX graph for: what an operator (of the standard domain or of com.microsoft) does with the tensor that it takes as an input.
 * Undefined where nothing is known. What compression does with a weight is decided by `productUse`, which also knows operators without gradients.
 */
export function weightUse({ op, domain, input, shape, int }: TensorPlace): WeightUse | undefined {
  const standard = isStandard({ domain });
  const role = standard || domain === 'com.microsoft' ? roles[op]?.[input] : undefined;
  // Beside Add and Mul only vectors are biases and scales: a matrix there is a separate tensor.
  if (role === undefined || (elementwise.has(op) && shape.filter((length) => length > 1).length > 1)) return undefined;
  return { role, orientation: standard && input === 1 ? orientationOf(op, shape, int) : undefined };
}

/** How the second input of MatMul, Gemm and Conv is oriented; a matrix of MatMul and Gemm, a kernel with at least one axis of places. */
function orientationOf(op: string, shape: readonly number[], int: TensorPlace['int']): WeightUse['orientation'] {
  if (op === 'MatMul' && shape.length === 2) return 'in-out';
  if (op === 'Gemm' && shape.length === 2) return int('transB', 0) === 0 ? 'in-out' : 'out-in';
  return op === 'Conv' && shape.length >= 3 ? 'out-in' : undefined;
}
