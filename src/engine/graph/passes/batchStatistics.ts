import type { GraphBuilder } from '../builder';
import type { RegionGradient } from '../gradient';
import type { Graph, Node, Value } from '../graph';
import type { NodeRewrite } from './inline';

/** A node in its training form: its outputs, and the new values of the statistics that it takes as inputs. */
export interface TrainingForm {
  readonly outputs: readonly Value[];
  readonly updates: readonly { readonly input: number; readonly value: Value }[];
  /** A gradient of the outputs that is cheaper than that of the parts. */
  readonly region?: RegionGradient;
}

/** Operators that behave differently in training and in inference. Passed in, so that the pass does not depend on operators. */
export interface TrainingFormTable {
  /** Adds the training form of a node to `build`; undefined if it is the same as in inference. */
  trainingForm(node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder): TrainingForm | undefined;
}

/** Copying a graph in training form. */
export interface TrainingCopy {
  readonly rewrite: NodeRewrite;
  /** For each statistic (an input or constant of the graph, by name), its value after the batch. Complete once the graph is copied. */
  readonly updates: ReadonlyMap<string, Value>;
  /** Gradients of training forms. Complete once the graph is copied. */
  readonly regions: readonly RegionGradient[];
}

/**
 * A rewrite for `inlineGraph` of `graph` into `build`: batch normalisation uses the statistics of the batch, and the stored statistics move
 * towards them. A statistic that several nodes share is updated by the last of them. Nodes inside bodies keep the stored statistics,
 * because updates could not leave the body.
 */
export function batchStatistics(graph: Graph, build: GraphBuilder, operators: TrainingFormTable): TrainingCopy {
  const updates = new Map<string, Value>();
  const regions: RegionGradient[] = [];
  const rewrite: NodeRewrite = (node, inputs, target) => {
    if (target !== build) return undefined;
    const form = operators.trainingForm(node, inputs, target);
    for (const { input, value } of form?.updates ?? []) {
      const statistic = node.inputs[input];
      if (statistic && (graph.constants.has(statistic) || graph.inputs.includes(statistic))) updates.set(statistic.name, value);
    }
    if (form?.region) regions.push(form.region);
    return form?.outputs;
  };
  return { rewrite, updates, regions };
}
