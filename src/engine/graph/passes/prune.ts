import type { Graph, Node, Value } from '../graph';

/** The graph without nodes and constants that no output depends on. Inputs stay, used or not: they are the graph's interface. */
export function pruneGraph(graph: Graph): Graph {
  const used = new Set<Value>(graph.outputs);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => output && used.has(output))) continue;
    for (const value of valuesUsedBy(node)) used.add(value);
    nodes.push(node);
  }
  const constants = new Map([...graph.constants].filter(([value]) => used.has(value)));
  return { ...graph, nodes: nodes.reverse(), constants };
}

/** Every value that a node consumes, including what its bodies capture. */
export function valuesUsedBy(node: Node): readonly Value[] {
  const bodies = Object.values(node.attributes).flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));
  return [
    ...node.inputs.flatMap((input) => (input ? [input] : [])),
    ...bodies.flatMap((body) => [...body.outputs, ...body.nodes.flatMap(valuesUsedBy)]),
  ];
}
