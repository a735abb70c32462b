import { byteLength } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { Graph, Node, Value } from './graph';
import type { OperatorTable } from './operator';
import { formatType, shapesMayBeEqual } from './shapes';
import type { ConstantData, TensorType } from './types';
import { constantBehind, lookUp } from './scope';
import type { Scope } from './scope';

/** A problem in a graph, and where it is. */
export interface GraphProblem {
  /** `unknown-operator` is a limit of Loomweight; everything else is a mistake in the graph. */
  readonly code: 'undefined-value' | 'duplicate-name' | 'unknown-operator' | 'type' | 'constant' | 'opset' | 'order';
  readonly message: string;
  readonly graph: string;
  readonly node?: string;
  readonly value?: string;
}

/**
 * Throws unless the graph is valid: every value is produced once and before it is used, names are unique, constants match their shapes,
 * every domain has an opset, and each node's outputs have types that the operator's rule allows. The error lists the first problems and
 * names their nodes; `details.problems` has all of them. Operators without a rule may be allowed: the runtime supports more than we do.
 */
export function verifyGraph(graph: Graph, operators: OperatorTable, options: { readonly allowUnknownOperators?: boolean } = {}): void {
  const problems = findGraphProblems(graph, operators).filter(
    (problem) => problem.code !== 'unknown-operator' || options.allowUnknownOperators !== true,
  );
  const first = problems[0];
  if (first === undefined) return;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  throw new LoomweightError(
    problems.every((problem) => problem.code === 'unknown-operator') ? 'unsupported' : 'invalid-argument',
    `Graph '${graph.name}' is invalid: ${first.message}${more}`,
    { graph: graph.name, ...(first.node === undefined ? {} : { node: first.node }), problems: problems.slice(0, 100) },
  );
}

/** All problems of a graph and of the bodies in it, in order of appearance. */
export function findGraphProblems(graph: Graph, operators: OperatorTable): readonly GraphProblem[] {
  const problems: GraphProblem[] = [];
  checkGraph(graph, undefined, graph.opsets, operators, problems);
  return problems;
}

function checkGraph(
  graph: Graph,
  outer: Scope | undefined,
  opsets: Readonly<Record<string, number>>,
  operators: OperatorTable,
  problems: GraphProblem[],
): void {
  const scope: Scope = { values: new Map(), constants: new Map(graph.constants), outer };
  const nodeNames = new Set<string>();
  const report = (code: GraphProblem['code'], message: string, where: { node?: string; value?: string } = {}) =>
    problems.push({ code, message, graph: graph.name, ...where });
  const define = (value: Value, node?: string) => {
    const where = { ...(node === undefined ? {} : { node }), value: value.name };
    if (value.name === '') report('duplicate-name', 'A value has no name.', where);
    else if (lookUp(scope, value.name) !== undefined)
      report(
        'duplicate-name',
        `Two values are named '${value.name}'${node === undefined ? '' : `, one of them produced by node '${node}'`}.`,
        where,
      );
    scope.values.set(value.name, value);
  };

  for (const value of graph.inputs) define(value);
  for (const [value, data] of graph.constants) {
    // A constant may be the default of an input of the same name; then they are one value.
    if (!graph.inputs.includes(value)) define(value);
    checkConstant(value, data, (message) => report('constant', message, { value: value.name }));
  }
  for (const node of graph.nodes) {
    if (nodeNames.has(node.name)) report('duplicate-name', `Two nodes are named '${node.name}'.`, { node: node.name });
    nodeNames.add(node.name);
    if (opsets[node.domain] === undefined && !(node.domain === 'ai.onnx' && opsets[''] !== undefined))
      report('opset', `Node '${node.name}' uses domain '${node.domain}', which has no opset.`, { node: node.name });
    let usable = true;
    for (const value of node.inputs) {
      if (value === undefined || lookUp(scope, value.name) === value) continue;
      usable = false;
      const later = graph.nodes.some((other) => other.outputs.includes(value));
      report(
        later ? 'order' : 'undefined-value',
        later
          ? `Node '${node.name}' (${node.op}) uses '${value.name}' before it is produced.`
          : `Node '${node.name}' (${node.op}) uses '${value.name}', which nothing produces.`,
        { node: node.name, value: value.name },
      );
    }
    for (const attribute of Object.values(node.attributes))
      if (attribute.kind === 'graph') checkGraph(attribute.value, scope, opsets, operators, problems);
    if (usable) checkTypes(node, scope, operators, report);
    for (const value of node.outputs) if (value !== undefined) define(value, node.name);
  }
  for (const value of graph.outputs)
    if (lookUp(scope, value.name) !== value) report('undefined-value', `Nothing produces output '${value.name}'.`, { value: value.name });
}

function checkTypes(
  node: Node,
  scope: Scope,
  operators: OperatorTable,
  report: (code: GraphProblem['code'], message: string, where: { node: string; value?: string }) => void,
): void {
  const operator = operators.get(node.domain, node.op);
  const title = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  if (operator === undefined) {
    report('unknown-operator', `Node '${node.name}' uses the unknown operator ${title}.`, { node: node.name });
    return;
  }
  let types: readonly TensorType[];
  try {
    types = operator.infer(
      node.inputs.map((value) => value?.type),
      {
        attributes: node.attributes,
        node: node.name,
        outputCount: node.outputs.length,
        constantOf: (index) => {
          const value = node.inputs[index];
          return value === undefined ? undefined : constantBehind(scope, value);
        },
      },
    );
  } catch (error) {
    if (!(error instanceof LoomweightError)) throw error;
    report('type', `Node '${node.name}' (${title}): ${error.message}`, { node: node.name });
    return;
  }
  node.outputs.forEach((value, index) => {
    const type = types[index];
    if (value === undefined || value.type.unknown === true || type?.unknown === true) return;
    const where = { node: node.name, value: value.name };
    if (type === undefined) report('type', `Node '${node.name}' (${title}) has no output ${index}.`, where);
    else if (type.dtype !== value.type.dtype || !shapesMayBeEqual(type.shape, value.type.shape))
      report(
        'type',
        `Node '${node.name}' (${title}) produces '${value.name}' as ${formatType(type)}, but it is declared as ${formatType(value.type)}.`,
        where,
      );
  });
}

function checkConstant(value: Value, data: ConstantData, report: (message: string) => void): void {
  if (data.shape.some((length) => !Number.isSafeInteger(length) || length < 0)) {
    report(`Constant '${value.name}' has an invalid shape [${data.shape.join(', ')}].`);
    return;
  }
  if (data.dtype !== value.type.dtype || !shapesMayBeEqual(data.shape, value.type.shape))
    report(
      `Constant '${value.name}' is ${formatType({ dtype: data.dtype, shape: data.shape })}, but it is declared as ${formatType(value.type)}.`,
    );
  if (data.dtype === 'string') return;
  const expected = byteLength(data.dtype, data.shape);
  const actual = data.kind === 'inline' ? data.bytes.byteLength : data.length;
  if (actual !== expected)
    report(`Constant '${value.name}' of shape [${data.shape.join(', ')}] needs ${expected} bytes, but has ${actual}.`);
}
