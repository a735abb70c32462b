import type { Graph, Node, Value } from '../graph';
import type { InputRoleTable } from './parameters';

/**
 * The values that only ever end where operators take settings: scales of a Resize, limits of a Clip, and what they are computed from.
 * Nobody trains them, so they may be computed beforehand.
 */
export function valuesForSettings(graph: Graph, roles: InputRoleTable): ReadonlySet<Value> {
  const nodes = allNodes(graph);
  const kept = new Set<Value>(allOutputs(graph));
  const seen = new Set<Value>();
  // Backwards: a node whose outputs are all for settings passes that on to what it takes.
  for (const node of [...nodes].reverse()) {
    const outputs = node.outputs.filter((output) => output !== undefined);
    const isForSettings = outputs.length > 0 && outputs.every((output) => seen.has(output) && !kept.has(output));
    node.inputs.forEach((input, index) => {
      if (!input) return;
      seen.add(input);
      if (!isForSettings && roles.inputRole(node, index) !== 'setting') kept.add(input);
    });
  }
  return new Set([...seen].filter((value) => !kept.has(value)));
}

/** Nodes of the graph and its bodies; those of bodies stand before the node that has them, as what they capture does. */
function allNodes(graph: Graph): readonly Node[] {
  return graph.nodes.flatMap((node) => [...bodiesOf(node).flatMap(allNodes), node]);
}

function allOutputs(graph: Graph): readonly Value[] {
  return [...graph.outputs, ...graph.nodes.flatMap((node) => bodiesOf(node).flatMap(allOutputs))];
}

function bodiesOf(node: Node): readonly Graph[] {
  return Object.values(node.attributes).flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));
}
