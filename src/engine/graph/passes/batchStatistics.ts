import { GraphBuilder } from '../builder';
import type { Graph, Node, Value } from '../graph';
import type { OperatorTable } from '../operator';
import { inlineGraph } from './inline';

/** A node as it stands in training: its outputs, and what becomes of statistics that it takes as inputs. */
export interface TrainingForm {
  readonly outputs: readonly Value[];
  readonly updates: readonly { readonly input: number; readonly value: Value }[];
}

/** Operators that do something else in training than in inference. Given to the pass, which knows no operator itself. */
export interface TrainingFormTable {
  /** Adds the training form of a node to `build`; undefined where it is the same as in inference. */
  trainingForm(node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder): TrainingForm | undefined;
}

/** A graph in training form. */
export interface TrainingGraph {
  readonly graph: Graph;
  /** For each statistic (by the constant's name) the name of the extra output that holds its value after the batch. */
  readonly updates: ReadonlyMap<string, string>;
}

/**
 * The graph with batch normalisation by the statistics of the batch: what normalises a batch by stored statistics uses the batch's own,
 * and the stored ones move towards them. Their new values are outputs behind the graph's own. A statistic that several nodes share is
 * moved by the last of them. Graphs without such nodes come back unchanged.
 */
export function withBatchStatistics(graph: Graph, operators: OperatorTable & TrainingFormTable): TrainingGraph {
  const build = new GraphBuilder(operators, graph.name, graph.opsets['']);
  const substitutes = new Map<string, Value>();
  for (const input of graph.inputs) if (!graph.constants.has(input)) substitutes.set(input.name, build.input(input.name, input.type));
  const newValues = new Map<string, Value>();
  const made = inlineGraph(build, graph, substitutes, {
    rewrite: (node, inputs, target) => {
      // Statistics inside of bodies cannot be outputs; such nodes keep to the stored ones.
      if (target !== build) return undefined;
      const form = operators.trainingForm(node, inputs, target);
      for (const { input, value } of form?.updates ?? []) {
        const constant = node.inputs[input];
        if (constant && graph.constants.has(constant)) newValues.set(constant.name, value);
      }
      return form?.outputs;
    },
  });
  if (newValues.size === 0) return { graph, updates: new Map() };
  for (const output of graph.outputs) build.output(made.get(output.name) as Value, output.name);
  const updates = new Map([...newValues].map(([name, value]) => [name, build.output(value).name]));
  return { graph: build.finish(), updates };
}
