import type { TensorRole } from '../../../protocol/model';
import type { Graph, Node, Value } from '../../graph/graph';
import { parametersOf, type GraphParameter, type ParameterUse } from '../../graph/passes/parameters';
import { weightUse, type WeightUse } from '../../models/weightUse';
import { operators } from '../../ops/index';

/** A constant of an imported graph that training moves. */
export interface FoundParameter {
  readonly value: Value;
  readonly role: TensorRole;
  /** For a tensor that is only ever the right side of MatMul or Gemm, so that it can be held as [in, out]: these sides (itself, or a Transpose of it). */
  readonly matrixValues: readonly Value[];
  /** True if the file holds [in, out]. */
  readonly storedTransposed: boolean;
  /** False if no output depends on it, or only through what has no gradient. */
  readonly used: boolean;
}

/** Parameters and buffers of an imported graph. */
export interface FoundParameters {
  readonly parameters: readonly FoundParameter[];
  /** Running means and variances of batch normalisation. */
  readonly buffers: readonly Value[];
  /** Weights that stay unchanged: of types other than float32, or used by bodies of Loop and If. */
  readonly left: readonly { readonly name: string; readonly why: 'type' | 'body' }[];
}

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
  for (const use of uses) {
    const role = useOf(use, shape)?.role;
    if (role !== undefined) return role;
  }
  return 'other';
}

/** How a matrix enters a product, seen through the Transposes between: `in-out` for x W, `out-in` for x W^T; undefined if it is something else. */
function matrixUse(graph: Graph, use: ParameterUse, shape: readonly number[]): 'in-out' | 'out-in' | undefined {
  const { node, through } = use;
  const turns = through.filter(turnsMatrix).length;
  const side = node.inputs[1];
  if (shape.length !== 2 || turns < through.length || !side || graph.outputs.includes(side)) return undefined;
  const orientation = useOf(use, shape)?.orientation;
  if (orientation === undefined || turns % 2 === 0) return orientation;
  return orientation === 'in-out' ? 'out-in' : 'in-out';
}

function useOf({ node, input }: ParameterUse, shape: readonly number[]): WeightUse | undefined {
  const int = (name: string, fallback: number): number => {
    const attribute = node.attributes[name];
    return attribute?.kind === 'int' ? attribute.value : fallback;
  };
  return weightUse({ op: node.op, domain: node.domain, input, shape, int });
}

/** True for the Transpose of a matrix that is more than a copy. */
function turnsMatrix({ op, attributes: { perm } }: Node): boolean {
  return op === 'Transpose' && (perm === undefined || (perm.kind === 'ints' && perm.value[0] === 1));
}
