import type { GraphBuilder } from '../../graph/builder';
import type { RegionGradient } from '../../graph/gradient';
import type { Value } from '../../graph/graph';
import type { NodeRewrite } from '../../graph/passes/inline';
import { isStaticShape } from '../../graph/shapes';
import { reshaped, staticShape, transposed } from '../../ops/gradients';
import { batchLastForm, type BatchLastContext } from './forms';
import { paysOff } from './paysOff';

/** Copying a graph with the batch as last axis. */
export interface BatchLastCopy {
  readonly rewrite: NodeRewrite;
  /** Gradients of what was rewritten. Complete once the graph is copied. */
  readonly regions: readonly RegionGradient[];
}

/**
 * For `inlineGraph` into `build`: convolutions [batch, channels, ...space], and what follows them, work on twins [1, channels, ...space, batch]: the batch is one
 * more axis of space, so that operators on channels mean what they meant. An operator without a form for twins gets the values as the graph has them. Both are
 * added for each node; unused ones must be pruned (`pruneGraph`). Needs known shapes.
 *
 * `training` is asked for the training form of nodes, on values of either kind; `worth` which convolutions the layout begins at.
 */
export function batchLastLayout(build: GraphBuilder, training: NodeRewrite, worth: BatchLastContext['worth'] = paysOff): BatchLastCopy {
  const twins = new Map<Value, Value>();
  const regions: RegionGradient[] = [];
  const twinOf = (value: Value): Value | undefined => twins.get(value);
  const makeTwin = (value: Value): Value => {
    const known = twins.get(value);
    if (known) return known;
    const turned = transposed(
      build,
      value,
      [...staticShape(value).keys()].map((axis, _, { length }) => (axis + 1) % length),
    );
    const twin = reshaped(build, turned, [1, ...staticShape(turned)]);
    twins.set(value, twin);
    return twin;
  };
  const asInGraph = (twin: Value): Value => {
    const [, ...lengths] = staticShape(twin);
    const last = lengths.length - 1;
    const value = transposed(build, reshaped(build, twin, lengths), [last, ...Array.from({ length: last }, (_, axis) => axis)]);
    twins.set(value, twin);
    return value;
  };
  const rewrite: NodeRewrite = (node, inputs, target) => {
    const isHere = target === build && inputs.every((input) => !input || isStaticShape(input.type.shape));
    const form = isHere ? batchLastForm(node, inputs, { build, twinOf, makeTwin, worth }) : undefined;
    if (form === undefined) return training(node, inputs, target);
    if (form.kind === 'value') return [form.output];
    if (form.kind === 'twin') {
      if (form.region) regions.push(form.region);
      return [asInGraph(form.output)];
    }
    const options = { domain: node.domain, name: `${node.name}/batch_last` };
    const outputs = training(node, form.inputs, target) ?? [build.op(node.op, form.inputs, form.attributes, options)];
    return 'kind' in outputs ? outputs : outputs.map((output, index) => (index === 0 ? asInGraph(output) : output));
  };
  return { rewrite, regions };
}
