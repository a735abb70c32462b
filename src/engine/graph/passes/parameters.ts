import { floatDTypes, type DType } from '../../../protocol/dtypes';
import type { Graph, Node, Value } from '../graph';
import type { ConstantData } from '../types';
import { isFixedTable, isTable, type TableUse } from './fixedTables';
import { pruneGraph, valuesUsedBy } from './prune';
import { valuesForSettings } from './settings';

/** What an operator makes of one of its inputs: a weight is trained, a statistic follows the batches, a setting is a number somebody chose. */
export type InputRole = 'weight' | 'statistic' | 'setting';

/** What passes must know of operators to find the weights of a graph. */
export interface InputRoleTable {
  inputRole(node: Node, input: number): InputRole;
  /** How an operator takes an input where masks and tables may stand as well as weights: Add, Mul, Gather. Undefined: nothing but weights. */
  tableUse(node: Node, input: number): TableUse | undefined;
  /** True for operators that give their first input in another shape, order or type: the use of a weight is then behind them. */
  passesOn(node: Node): boolean;
  /** True for operators that round real numbers to codes: QuantizeLinear. */
  rounds(node: Node): boolean;
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
  /** True where a body (of a Loop, an If) takes it. */
  readonly captured: boolean;
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
 *
 * Beside Add, Mul and Gather stand weights, masks and tables of positions. A vector is a bias or scale, and a table with several long axes that is added
 * is a position embedding or bias, unless its values say otherwise (`isFixedTable`). A table that activations are multiplied with (angles of a
 * rotary embedding, a mask) is none, whatever its values; multiplied with other constants it is one, unless it is a mask. Where the same tensor also stands where
 * only weights do, it is a weight.
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
    // What nothing takes may have been a weight: it is listed, so that it can be named.
    weights: found.filter(({ roles: given }) => given.length === 0 || given.includes('weight')).map(({ parameter }) => parameter),
    statistics: found
      .filter(({ roles: given }) => !given.includes('weight') && given.includes('statistic'))
      .map(({ parameter }) => parameter),
  };
}

/** Values that depend on what the graph is given. Those of nodes with bodies are taken as such. */
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
