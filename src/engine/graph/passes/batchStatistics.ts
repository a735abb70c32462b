import type { GraphBuilder } from '../builder';
import type { Graph, Node, Value } from '../graph';
import type { NodeRewrite } from './inline';

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

/** Copying a graph in training form. */
export interface TrainingCopy {
  readonly rewrite: NodeRewrite;
  /** For each statistic (an input or constant of the graph, by name) its value after the batch. Complete once the graph is copied. */
  readonly updates: ReadonlyMap<string, Value>;
}

/**
 * For `inlineGraph` of `graph` into `build`: what normalises a batch by stored statistics uses the batch's own, and the stored ones move towards
 * them. A statistic that several nodes share is moved by the last of them. Nodes inside of bodies keep to the stored ones, which could not leave
 * the body.
 */
export function batchStatistics(graph: Graph, build: GraphBuilder, operators: TrainingFormTable): TrainingCopy {
  const updates = new Map<string, Value>();
  const rewrite: NodeRewrite = (node, inputs, target) => {
    if (target !== build) return undefined;
    const form = operators.trainingForm(node, inputs, target);
    for (const { input, value } of form?.updates ?? []) {
      const statistic = node.inputs[input];
      if (statistic && (graph.constants.has(statistic) || graph.inputs.includes(statistic))) updates.set(statistic.name, value);
    }
    return form?.outputs;
  };
  return { rewrite, updates };
}
