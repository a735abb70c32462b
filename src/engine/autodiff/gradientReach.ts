import { floatDTypes } from '../../protocol/dtypes';
import type { GradientTable } from '../graph/gradient';
import type { Graph, Value } from '../graph/graph';

/**
 * The values of a graph that a gradient of its outputs can reach: floats that are not behind an operator whose outputs do not change with
 * small changes of its inputs (`none`: rounding, comparisons, indices). An operator without a rule is passed here; `differentiate` refuses
 * it. Bodies are not examined: values that they capture are not reached.
 */
export function gradientReach(graph: Graph, rules: GradientTable): ReadonlySet<Value> {
  const isReal = ({ type }: Value): boolean => type.unknown === true || floatDTypes.includes(type.dtype);
  const reached = new Set<Value>(graph.outputs.filter(isReal));
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => output && reached.has(output))) continue;
    if (rules.get(node.domain, node.op)?.gradient === 'none') continue;
    for (const input of node.inputs) if (input && isReal(input)) reached.add(input);
  }
  return reached;
}
