import { floatDTypes, type DType } from '../../../protocol/dtypes';
import type { Graph, Node, Value } from '../graph';
import type { ConstantData } from '../types';
import { pruneGraph } from './prune';
import { valuesForSettings } from './settings';

/** What an operator makes of one of its inputs: a weight is trained, a statistic follows the batches, a setting is a number somebody chose. */
export type InputRole = 'weight' | 'statistic' | 'setting';

/** What passes must know of operators to find the weights of a graph. */
export interface InputRoleTable {
  inputRole(node: Node, input: number): InputRole;
  /** True for operators that give their first input in another shape, order or type: the use of a weight is then behind them. */
  passesOn(node: Node): boolean;
  /** True for Sin and Cos: of positions, they hold the frequencies of an embedding. */
  makesWaves(node: Node): boolean;
}

/** A place where a parameter is used. */
export interface ParameterUse {
  readonly node: Node;
  readonly input: number;
  /** Nodes between the constant and this use that only rearrange it (a Transpose), in order. */
  readonly through: readonly Node[];
}

/** A float tensor of a graph that training changes. */
export interface GraphParameter {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ConstantData;
  /** Several: the tensor is tied, and counts once. None: nothing takes it. */
  readonly uses: readonly ParameterUse[];
  /** False where no output of the graph depends on it. */
  readonly used: boolean;
}

/** The float constants of a graph by what they are. */
export interface GraphParameters {
  /** Trained by gradient. */
  readonly weights: readonly GraphParameter[];
  /** Running means and variances: they follow the batches, are not trained and not counted. */
  readonly statistics: readonly GraphParameter[];
}

/**
 * The parameters of a graph: float constants of rank 1 and above, in the order in which they stand in the graph. Scalars are not
 * parameters (exporters write factors and fill values so), nor are tensors that only stand where operators take settings: scales of
 * a Resize, limits of a Clip, tables and frequencies of a rotary embedding. Constants inside of bodies are left alone; those that bodies capture
 * count as used by the node of the body's graph that takes them.
 */
export function parametersOf(graph: Graph, roles: InputRoleTable): GraphParameters {
  const uses = new Map<Value, { readonly use: ParameterUse; readonly role: InputRole }[]>();
  for (const value of graph.constants.keys()) uses.set(value, []);
  const origins = new Map<Value, { readonly constant: Value; readonly through: readonly Node[] }>();
  for (const value of graph.constants.keys()) origins.set(value, { constant: value, through: [] });
  const visit = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      const passed = roles.passesOn(node) ? node.inputs[0] && origins.get(node.inputs[0]) : undefined;
      const [output] = node.outputs;
      if (passed && output) origins.set(output, { constant: passed.constant, through: [...passed.through, node] });
      node.inputs.forEach((value, input) => {
        const origin = value && origins.get(value);
        if (!origin || (passed && input === 0)) return;
        uses.get(origin.constant)?.push({ use: { node, input, through: origin.through }, role: roles.inputRole(node, input) });
      });
      for (const attribute of Object.values(node.attributes)) if (attribute.kind === 'graph') visit(attribute.value.nodes);
    }
  };
  visit(graph.nodes);
  const needed = pruneGraph(graph).constants;
  const settings = valuesForSettings(graph, roles);
  const found: { readonly parameter: GraphParameter; readonly roles: readonly InputRole[] }[] = [];
  for (const [value, data] of graph.constants) {
    if (!floatDTypes.includes(data.dtype) || data.shape.length === 0 || settings.has(value)) continue;
    const places = uses.get(value) ?? [];
    const parameter = {
      name: value.name,
      dtype: data.dtype,
      shape: data.shape,
      data,
      uses: places.map(({ use }) => use),
      used: needed.has(value),
    };
    found.push({ parameter, roles: places.map(({ role }) => role) });
  }
  return {
    // What nothing takes may have been a weight: it is listed, so that it can be named.
    weights: found.filter(({ roles: given }) => given.length === 0 || given.includes('weight')).map(({ parameter }) => parameter),
    statistics: found
      .filter(({ roles: given }) => !given.includes('weight') && given.includes('statistic'))
      .map(({ parameter }) => parameter),
  };
}
