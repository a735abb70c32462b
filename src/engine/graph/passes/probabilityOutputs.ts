import type { Graph, Value } from '../graph';
import { finalActivation, nodeBehind } from './finalActivation';

/** Names of the outputs that a Softmax over the classes or a Sigmoid makes; behind an If, in both of its branches. */
export function probabilityOutputs(graph: Graph): ReadonlySet<string> {
  return new Set(graph.outputs.filter((output) => isProbabilities(graph, output)).map(({ name }) => name));
}

function isProbabilities(graph: Graph, output: Value): boolean {
  const kind = finalActivation(graph, output)?.kind;
  if (kind !== undefined) return kind !== 'log-softmax';
  const behind = nodeBehind(graph, output);
  if (behind?.node.op !== 'If' || behind.node.domain !== '') return false;
  const place = behind.node.outputs.indexOf(behind.made);
  return ['then_branch', 'else_branch'].every((name) => {
    const branch = behind.node.attributes[name];
    if (branch?.kind !== 'graph') return false;
    const result = branch.value.outputs[place];
    return result !== undefined && isProbabilities(branch.value, result);
  });
}
