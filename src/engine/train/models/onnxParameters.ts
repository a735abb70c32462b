import type { TensorRole } from '../../../protocol/model';
import type { Graph, Node, Value } from '../../graph/graph';
import { parametersOf, type GraphParameter, type ParameterUse } from '../../graph/passes/parameters';
import { operators } from '../../ops/index';

/** A constant of an imported graph that training moves. */
export interface FoundParameter {
  readonly value: Value;
  readonly role: TensorRole;
  /** For a tensor that is only ever the right side of MatMul or Gemm, so that it can be held as [in, out]: these sides (itself, or a Transpose of it). */
  readonly matrixValues: readonly Value[];
  /** True where the file holds [in, out]. */
  readonly storedTransposed: boolean;
  /** False where no output depends on it, or only through what has no gradient. */
  readonly used: boolean;
}

/** Parameters and buffers of an imported graph. */
export interface FoundParameters {
  readonly parameters: readonly FoundParameter[];
  /** Running means and variances of batch normalisation. */
  readonly buffers: readonly Value[];
  /** Weights that stay as they are: of other types than float32, or taken by bodies of Loop and If. */
  readonly left: readonly { readonly name: string; readonly why: 'type' | 'body' }[];
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
 * The float32 parameters of an imported graph, with what they do and how they can be held. Constants of other types, scalars, and what bodies of Loop and If
 * take stay as they are. Statistics of batch normalisation are buffers. `reached`: the values from which gradients come back.
 */
export function findParameters(graph: Graph, reached: ReadonlySet<Value>): FoundParameters {
  const { weights, statistics } = parametersOf(graph, operators);
  const values = new Map([...graph.constants.keys()].map((value) => [value.name, value]));
  const valueOf = ({ name }: GraphParameter): Value => values.get(name) as Value;
  const own = new Set(graph.nodes);
  const trained: FoundParameter[] = [];
  const left: { readonly name: string; readonly why: 'type' | 'body' }[] = [];
  for (const parameter of weights) {
    const value = valueOf(parameter);
    if (graph.outputs.includes(value)) continue;
    const captured = parameter.captured || parameter.uses.some(({ node }) => !own.has(node));
    if (parameter.dtype !== 'float32' || captured) {
      left.push({ name: parameter.name, why: captured ? 'body' : 'type' });
      continue;
    }
    const [first, ...others] = parameter.uses.map((use) => matrixUse(graph, use, parameter.shape));
    const matrix = first !== undefined && others.every((use) => use === first);
    trained.push({
      value,
      role: roleOf(parameter),
      matrixValues: matrix ? parameter.uses.map(({ node }) => node.inputs[1] as Value) : [],
      storedTransposed: matrix && first === 'in-out',
      used: reached.has(value),
    });
  }
  return { parameters: trained, buffers: statistics.filter(({ dtype, captured }) => dtype === 'float32' && !captured).map(valueOf), left };
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
  const turns = through.filter(turnsMatrix).length;
  const side = node.inputs[1];
  if (node.domain !== '' || input !== 1 || shape.length !== 2 || turns < through.length || !side || graph.outputs.includes(side))
    return undefined;
  if (node.op !== 'MatMul' && node.op !== 'Gemm') return undefined;
  const attribute = node.op === 'Gemm' ? node.attributes['transB'] : undefined;
  const turned = attribute?.kind === 'int' && attribute.value !== 0;
  return (turns % 2 === 1) === turned ? 'in-out' : 'out-in';
}

/** True for the Transpose of a matrix that is no mere copy. */
function turnsMatrix({ op, attributes: { perm } }: Node): boolean {
  return op === 'Transpose' && (perm === undefined || (perm.kind === 'ints' && perm.value[0] === 1));
}
