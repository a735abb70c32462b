import type { TensorRole } from '../../../protocol/model';
import type { Graph, Node, Value } from '../../graph/graph';
import { valuesUsedBy } from '../../graph/passes/prune';

/** A constant of an imported graph that training moves. */
export interface FoundParameter {
  readonly value: Value;
  readonly role: TensorRole;
  /** `matrix`: only ever the right side of MatMul or Gemm, so that it can be held as [in, out]. */
  readonly use: 'matrix' | 'other';
  /** True where the file holds [in, out]. */
  readonly storedTransposed: boolean;
}

/** Parameters and buffers of an imported graph. */
export interface FoundParameters {
  readonly parameters: readonly FoundParameter[];
  /** Running means and variances of batch normalisation. */
  readonly buffers: readonly Value[];
}

/** Which inputs of an operator are weights, and what they do. Inputs that are not listed are no weights. */
const weightInputs: Readonly<Record<string, Readonly<Record<number, TensorRole>>>> = {
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
  Transpose: { 0: 'linear' },
  Unsqueeze: { 0: 'norm' },
  Add: { 0: 'bias', 1: 'bias' },
  Sub: { 0: 'bias', 1: 'bias' },
  Mul: { 0: 'norm', 1: 'norm' },
};

/**
 * Finds what can be trained: float32 constants, scalars aside, that stand where operators take weights. Vectors beside Add and Mul count as biases
 * and scales; larger constants there (masks, tables of angles) do not. Statistics of batch normalisation are buffers.
 */
export function findParameters(graph: Graph): FoundParameters {
  const uses = new Map<Value, { readonly node: Node; readonly input: number }[]>();
  const captured = new Set<Value>();
  for (const node of graph.nodes) {
    node.inputs.forEach((value, input) => {
      if (value && graph.constants.has(value)) uses.set(value, [...(uses.get(value) ?? []), { node, input }]);
    });
    for (const value of valuesUsedBy({ ...node, inputs: [] })) captured.add(value);
  }
  const parameters: FoundParameter[] = [];
  const buffers: Value[] = [];
  for (const [value, places] of uses) {
    const { dtype, shape } = value.type;
    if (dtype !== 'float32' || captured.has(value) || graph.outputs.includes(value)) continue;
    const statistics = places.filter(({ node, input }) => node.op === 'BatchNormalization' && input >= 3);
    if (statistics.length > 0) {
      if (statistics.length === places.length) buffers.push(value);
      continue;
    }
    const lengths = shape as readonly number[];
    if (lengths.length === 0) continue;
    const roles = places.map((place) => roleOf(place.node, place.input, lengths));
    const role = roles[0];
    if (role === undefined || roles.includes(undefined)) continue;
    const linear = places.map(({ node, input }) => matrixUse(node, input, lengths));
    const first = linear[0];
    const matrix = first !== undefined && linear.every((use) => use === first);
    parameters.push({ value, role, use: matrix ? 'matrix' : 'other', storedTransposed: matrix && first === 'in-out' });
  }
  return { parameters, buffers };
}

function roleOf(node: Node, input: number, shape: readonly number[]): TensorRole | undefined {
  const role = node.domain === '' || node.domain === 'com.microsoft' ? weightInputs[node.op]?.[input] : undefined;
  const elementwise = ['Add', 'Sub', 'Mul'].includes(node.op);
  if (elementwise && shape.filter((length) => length > 1).length > 1) return undefined;
  if (node.op === 'Transpose' && shape.length !== 2) return undefined;
  return role;
}

/** How a matrix stands in a product: `in-out` for x W, `out-in` for x W^T; undefined where it is something else. */
function matrixUse(node: Node, input: number, shape: readonly number[]): 'in-out' | 'out-in' | undefined {
  if (node.domain !== '' || input !== 1 || shape.length !== 2) return undefined;
  if (node.op === 'MatMul') return 'in-out';
  if (node.op !== 'Gemm') return undefined;
  const attribute = node.attributes['transB'];
  return attribute?.kind === 'int' && attribute.value !== 0 ? 'out-in' : 'in-out';
}
