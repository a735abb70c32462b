import { floatDTypes } from '../../../protocol/dtypes';
import type { Graph, Node, Value } from '../graph';
import type { InputRoleTable } from './inputRole';

/**
 * Values that are only used as settings (scales of a Resize, limits of a Clip) or as waves of positions (frequencies of a rotary
 * embedding), and the values they are computed from. They are not trained, so they may be computed in advance.
 */
export function valuesForSettings(graph: Graph, roles: InputRoleTable): ReadonlySet<Value> {
  const nodes = allNodes(graph);
  const varying = valuesOfRealInputs(graph, nodes, roles);
  const kept = new Set<Value>(allOutputs(graph));
  const seen = new Set<Value>();
  // Backwards: if all outputs of a node are settings, so are its inputs.
  for (const node of [...nodes].reverse()) {
    const outputs = node.outputs.filter((output) => output !== undefined);
    const isForSettings = outputs.length > 0 && outputs.every((output) => seen.has(output) && !kept.has(output));
    const isWaveOfPositions = roles.makesWaves(node) && node.inputs.every((input) => !input || !varying.has(input));
    node.inputs.forEach((input, index) => {
      if (!input) return;
      seen.add(input);
      if (!isForSettings && !isWaveOfPositions && roles.inputRole(node, index) !== 'setting') kept.add(input);
    });
  }
  return new Set([...seen].filter((value) => !kept.has(value)));
}

/** Values that depend on a float input or on a matrix: waves of these belong to the network; waves of anything else encode positions. */
function valuesOfRealInputs(graph: Graph, nodes: readonly Node[], roles: InputRoleTable): ReadonlySet<Value> {
  const varying = new Set<Value>(graph.inputs.filter((input) => floatDTypes.includes(input.type.dtype)));
  for (const [value, { dtype, shape }] of graph.constants)
    if (floatDTypes.includes(dtype) && shape.filter((length) => length > 1).length > 1) varying.add(value);
  for (const node of nodes)
    if (
      bodiesOf(node).length > 0 ||
      node.inputs.some((input, index) => input && varying.has(input) && roles.inputRole(node, index) === 'weight')
    )
      for (const output of node.outputs) if (output && floatDTypes.includes(output.type.dtype)) varying.add(output);
  return varying;
}

/** Nodes of the graph and its bodies; nodes of a body come before the node that has the body, like the values it captures. */
export function allNodes(graph: Graph): readonly Node[] {
  return graph.nodes.flatMap((node) => [...bodiesOf(node).flatMap(allNodes), node]);
}

function allOutputs(graph: Graph): readonly Value[] {
  return [...graph.outputs, ...graph.nodes.flatMap((node) => bodiesOf(node).flatMap(allOutputs))];
}

function bodiesOf(node: Node): readonly Graph[] {
  return Object.values(node.attributes).flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));
}
