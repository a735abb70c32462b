import type { TensorRole } from '../../../protocol/model';
import type { Graph, Value } from '../../graph/graph';
import { parametersOf, type GraphParameter, type ParameterUse } from '../../graph/passes/parameters';
import { operators } from '../../ops/index';

/** A constant of an imported graph that training moves. */
export interface FoundParameter {
  readonly value: Value;
  readonly role: TensorRole;
  /** `matrix`: only ever the right side of MatMul or Gemm, so that it can be held as [in, out]. */
  readonly use: 'matrix' | 'other';
  /** True where the file holds [in, out]. */
  readonly storedTransposed: boolean;
  /** False where no output depends on it. */
  readonly used: boolean;
}

/** Parameters and buffers of an imported graph. */
export interface FoundParameters {
  readonly parameters: readonly FoundParameter[];
  /** Running means and variances of batch normalisation. */
  readonly buffers: readonly Value[];
}

/** What weights do, by operator and input. */
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
  Add: { 0: 'bias', 1: 'bias' },
  Sub: { 0: 'bias', 1: 'bias' },
  Mul: { 0: 'norm', 1: 'norm' },
};

const elementwise = new Set(['Add', 'Sub', 'Mul']);

/**
 * The float32 parameters of an imported graph, with what they do and how they can be held. Constants of other types, and scalars, stay as they are.
 * Statistics of batch normalisation are buffers.
 */
export function findParameters(graph: Graph): FoundParameters {
  const { weights, statistics } = parametersOf(graph, operators);
  const values = new Map([...graph.constants.keys()].map((value) => [value.name, value]));
  const valueOf = ({ name }: GraphParameter): Value => values.get(name) as Value;
  const trained = weights.filter(({ dtype, name }) => dtype === 'float32' && !graph.outputs.some((output) => output.name === name));
  return {
    parameters: trained.map((parameter): FoundParameter => {
      const [first, ...others] = parameter.uses.map((use) => matrixUse(graph, use, parameter.shape));
      const matrix = first !== undefined && others.every((use) => use === first);
      return {
        value: valueOf(parameter),
        role: roleOf(parameter),
        use: matrix ? 'matrix' : 'other',
        storedTransposed: matrix && first === 'in-out',
        used: parameter.used,
      };
    }),
    buffers: statistics.filter(({ dtype }) => dtype === 'float32').map(valueOf),
  };
}

/** What a tensor does, by the first place that says it. */
function roleOf({ uses, shape }: GraphParameter): TensorRole {
  for (const { node, input } of uses) {
    const role = node.domain === '' || node.domain === 'com.microsoft' ? weightInputs[node.op]?.[input] : undefined;
    // Beside Add and Mul only vectors are biases and scales: a matrix there is a tensor of its own.
    if (role !== undefined && (!elementwise.has(node.op) || shape.filter((length) => length > 1).length < 2)) return role;
  }
  return 'other';
}

/** How a matrix stands in a product: `in-out` for x W, `out-in` for x W^T; undefined where it is something else. */
function matrixUse(graph: Graph, { node, input, through }: ParameterUse, shape: readonly number[]): 'in-out' | 'out-in' | undefined {
  if (node.domain !== '' || input !== 1 || shape.length !== 2 || through.length > 0 || !graph.nodes.includes(node)) return undefined;
  if (node.op === 'MatMul') return 'in-out';
  if (node.op !== 'Gemm') return undefined;
  const attribute = node.attributes['transB'];
  return attribute?.kind === 'int' && attribute.value !== 0 ? 'out-in' : 'in-out';
}
