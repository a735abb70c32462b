import type { Graph, Node, Value } from '../graph';
import { finalActivation, nodeBehind, producersOf } from './finalActivation';

/** Names of the outputs that a Softmax over the classes or a Sigmoid makes; behind an If, in both of its branches. */
export function probabilityOutputs(graph: Graph): ReadonlySet<string> {
  const known = new Map<Graph, ReadonlyMap<Value, Node>>();
  const producers = (each: Graph): ReadonlyMap<Value, Node> => {
    const made = known.get(each) ?? producersOf(each);
    known.set(each, made);
    return made;
  };
  const isProbabilities = (each: Graph, output: Value): boolean => {
    const kind = finalActivation(each, output, producers(each))?.kind;
    if (kind !== undefined) return kind !== 'log-softmax';
    const behind = nodeBehind(producers(each), output);
    if (behind?.node.op !== 'If' || behind.node.domain !== '') return false;
    const place = behind.node.outputs.indexOf(behind.made);
    return ['then_branch', 'else_branch'].every((name) => {
      const branch = behind.node.attributes[name];
      if (branch?.kind !== 'graph') return false;
      const result = branch.value.outputs[place];
      return result !== undefined && isProbabilities(branch.value, result);
    });
  };
  return new Set(graph.outputs.filter((output) => isProbabilities(graph, output)).map(({ name }) => name));
}
