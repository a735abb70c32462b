import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { differentiate } from '../../autodiff/differentiate';
import { GraphBuilder } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { binaryCrossEntropy, crossEntropy } from '../../kernels/losses';
import { operators } from '../../ops/index';
import { staticShape } from '../../ops/gradients';
import type { TrainableModel } from '../../train/contract';

/** A graph of outputs, and of the gradients of the loss of given labels. */
export interface GradientGraph {
  readonly graph: Graph;
  /** Labels in a run: positions of all windows, or samples. */
  readonly labels: number;
  /** Classes of the output; 1: one logit for yes or no. */
  readonly classes: number;
}

/** Names of the graph's values that do not belong to the model. */
export const outputValue = 'fisher/output';
export const labelValue = 'fisher/label';
export const weightValue = (name: string): string => `fisher/weight/${name}`;
export const gradientValue = (name: string): string => `fisher/gradient/${name}`;

/**
 * The model for a batch with its weights as inputs, the first output's class scores as `outputValue`, and for each tensor of `wanted` the gradient, in the model's held
 * order, of the mean loss of the labels. Errors: `unsupported` for a model that cannot be differentiated (the node is named).
 */
export function gradientGraph(model: TrainableModel, batch: number, wanted: readonly string[]): GradientGraph {
  const build = new GraphBuilder(operators, 'fisher');
  const inputs = Object.fromEntries(model.inputs(batch).map(({ name, dtype, shape }) => [name, build.input(name, { dtype, shape })]));
  const weights = new Map<string, Value>();
  for (const { name, heldShape } of model.parameters)
    weights.set(name, build.input(weightValue(name), { dtype: 'float32', shape: heldShape }));
  for (const { name, shape } of model.buffers) weights.set(name, build.input(weightValue(name), { dtype: 'float32', shape }));
  const { scores: output } = model.forward(build, inputs, (name) => weights.get(name) as Value, false);
  const shape = output && staticShape(output);
  if (!output || !shape || output.type.dtype !== 'float32')
    throw new LoomweightError(
      'unsupported',
      `The first output of ${model.name} is not a float32 tensor, so there is no loss to differentiate.`,
    );
  const perSample = elementCount(shape.slice(1));
  const classes = perSample === 1 ? 1 : (shape.at(-1) as number);
  const labels = elementCount(shape) / classes;
  const label = build.input(labelValue, classes === 1 ? { dtype: 'float32', shape: [labels] } : { dtype: 'int64', shape: [labels] });
  const loss = classes === 1 ? binaryCrossEntropy(build, output, label) : crossEntropy(build, output, label);
  const gradients = differentiate(
    build,
    loss.value,
    wanted.map((name) => weights.get(name) as Value),
    { rules: operators, custom: [loss.region] },
  );
  build.output(build.op('Identity', [output]), outputValue);
  wanted.forEach((name, index) => {
    const gradient = gradients[index];
    if (gradient) build.output(build.op('Identity', [gradient]), gradientValue(name));
  });
  return { graph: build.finish(), labels, classes };
}
