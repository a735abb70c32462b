import type { GraphProto, NodeProto } from './generated/onnx';
import { bodiesOf } from './walk';

/**
 * Nodes in an order in which each comes after those whose outputs it takes. Nodes that are so already keep their order; ONNX requires it, but ONNX Runtime sorts by
 * itself, so that files with another order exist. Nodes of a cycle, or behind one, come last.
 */
export function inOrder(nodes: readonly NodeProto[], isKnown: (name: string) => boolean): readonly NodeProto[] {
  const makers = new Map<string, number>();
  nodes.forEach(({ output }, index) => output.forEach((name) => void (name !== '' && makers.set(name, index))));
  const needs = nodes.map((node) => [...new Set(namesTaken(node).flatMap((name) => (isKnown(name) ? [] : (makers.get(name) ?? []))))]);
  if (needs.every((list, index) => list.every((maker) => maker < index))) return nodes;
  const waiting = needs.map(({ length }) => length);
  const users = nodes.map((): number[] => []);
  needs.forEach((list, index) => list.forEach((maker) => users[maker]!.push(index)));
  const sorted: number[] = [];
  const ready = waiting.flatMap((count, index) => (count === 0 ? [index] : []));
  for (let next = 0; next < ready.length; next += 1) {
    const index = ready[next] as number;
    sorted.push(index);
    for (const user of users[index]!) {
      waiting[user]! -= 1;
      if (waiting[user] === 0) ready.push(user);
    }
  }
  const placed = new Set(sorted);
  return [...sorted, ...nodes.keys()].flatMap((index, place) =>
    place < sorted.length || !placed.has(index) ? [nodes[index] as NodeProto] : [],
  );
}

/** Names that a node takes, and that its bodies take from outside. */
function namesTaken(node: NodeProto): readonly string[] {
  return [...node.input.filter((name) => name !== ''), ...bodiesOf(node).flatMap(captured)];
}

function captured({ input, initializer, node, output }: GraphProto): readonly string[] {
  const own = new Set([...input, ...initializer].map(({ name }) => name));
  for (const item of node) for (const name of item.output) own.add(name);
  return [...node.flatMap(namesTaken), ...output.map(({ name }) => name)].filter((name) => !own.has(name));
}
