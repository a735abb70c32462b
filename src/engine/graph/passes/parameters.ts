import { floatDTypes, type DType } from '../../../protocol/dtypes';
import type { Graph, Node, Value } from '../graph';
import type { ConstantData } from '../types';
import { isFixedTable, isTable } from './fixedTables';
import type { InputRole, InputRoleTable } from './inputRole';
import { pruneGraph, valuesUsedBy } from './prune';
import { valuesForSettings } from './settings';

/** A use of a parameter. */
export interface ParameterUse {
  readonly node: Node;
  readonly input: number;
  /** Nodes between the constant and this use that only rearrange it (such as Transpose), in order. */
  readonly through: readonly Node[];
}

/** A float tensor of a graph that is trained. */
export interface GraphParameter {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ConstantData;
  /** With several uses the tensor is tied and counted once. With none, nothing consumes it. */
  readonly uses: readonly ParameterUse[];
  /** False if no output of the graph depends on it. */
  readonly used: boolean;
  /** True if a body (of a Loop or an If) captures it. */
  readonly captured: boolean;
}

/** The float constants of a graph by role. */
export interface GraphParameters {
  /** Trained by gradient. */
  readonly weights: readonly GraphParameter[];
  /** Running means and variances: they follow the batches and are neither trained nor counted. */
  readonly statistics: readonly GraphParameter[];
}

/**
 * The parameters of a graph: float constants of rank 1 and above, in the order of the graph. Scalars are not parameters (exporters use them
 * for factors and fill values), nor are tensors that are only used as settings: scales of a Resize, limits of a Clip, tables and
 * frequencies of a rotary embedding. Constants inside bodies are ignored; those that bodies capture count as used by the node that has the
 * body.
 *
 * Inputs of Add, Mul and Gather can be weights, masks or tables of positions. A vector is a bias or scale, and an added table with several
 * long axes is a position embedding or bias, unless its values show otherwise (`isFixedTable`). A table that is multiplied with activations
 * (angles of a rotary embedding, a mask) is not a weight, whatever its values; multiplied with other constants it is one, unless it is a
 * mask. A tensor that is also used where only weights are possible is a weight.
 */
export function parametersOf(graph: Graph, roles: InputRoleTable): GraphParameters {
  const uses = new Map<Value, { readonly use: ParameterUse; readonly role: InputRole }[]>();
  for (const value of graph.constants.keys()) uses.set(value, []);
  const origins = new Map<Value, { readonly constant: Value; readonly through: readonly Node[] }>();
  for (const value of graph.constants.keys()) origins.set(value, { constant: value, through: [] });
  const varying = valuesOfInputs(graph);
  const captured = new Set(graph.nodes.flatMap((node) => valuesUsedBy({ ...node, inputs: [] })));
  const isFixed = (node: Node, input: number, data: ConstantData): boolean => {
    const tableUse = roles.tableUse(node, input);
    if (tableUse === undefined) return false;
    const besideActivations = node.inputs.some((other, index) => index !== input && other && varying.has(other));
    return (tableUse === 'product' && besideActivations && isTable(data.shape)) || isFixedTable(data, tableUse);
  };
  const visit = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      const passed = roles.passesOn(node) ? node.inputs[0] && origins.get(node.inputs[0]) : undefined;
      const [output] = node.outputs;
      if (passed && output) origins.set(output, { constant: passed.constant, through: [...passed.through, node] });
      node.inputs.forEach((value, input) => {
        const origin = value && origins.get(value);
        if (!origin || (passed && input === 0)) return;
        const role = roles.inputRole(node, input);
        const data = graph.constants.get(origin.constant) as ConstantData;
        const fixed = role === 'weight' && floatDTypes.includes(data.dtype) && isFixed(node, input, data);
        uses.get(origin.constant)?.push({ use: { node, input, through: origin.through }, role: fixed ? 'setting' : role });
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
      captured: captured.has(value),
    };
    found.push({ parameter, roles: places.map(({ role }) => role) });
  }
  return {
    // An unused tensor may have been a weight: list it, so that it can be named.
    weights: found.filter(({ roles: given }) => given.length === 0 || given.includes('weight')).map(({ parameter }) => parameter),
    statistics: found
      .filter(({ roles: given }) => !given.includes('weight') && given.includes('statistic'))
      .map(({ parameter }) => parameter),
  };
}

/** Values that depend on the graph's inputs. Outputs of nodes with bodies are assumed to. */
function valuesOfInputs(graph: Graph): ReadonlySet<Value> {
  const varying = new Set<Value>(graph.inputs.filter((input) => !graph.constants.has(input)));
  const visit = ({ nodes }: Graph): void => {
    for (const node of nodes) {
      const bodies = Object.values(node.attributes).flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));
      for (const body of bodies) {
        for (const input of body.inputs) varying.add(input);
        visit(body);
      }
      if (bodies.length > 0 || node.inputs.some((input) => input && varying.has(input)))
        for (const output of node.outputs) if (output) varying.add(output);
    }
  };
  visit(graph);
  return varying;
}
