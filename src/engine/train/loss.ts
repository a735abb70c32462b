import { LoomweightError } from '../../protocol/errors';
import type { TrainSpec } from '../../protocol/training';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formatShape } from '../graph/shapes';
import { binaryCrossEntropy, crossEntropy, meanSquaredError, type Loss } from '../kernels/losses';
import { operators } from '../ops/index';
import { staticShape } from '../ops/gradients';
import type { ForwardPass, TrainableModel } from './contract';

/** A loss once `auto` is decided. */
export type LossKind = Exclude<TrainSpec['loss'], 'auto'>;

/** What is known of the labels. */
export interface LabelFacts {
  /** All values are whole numbers. */
  readonly integers: boolean;
  readonly description: string;
}

/** Types and shapes of a model's outputs for a batch of one, by building the forward pass once. */
export function outputShapes(model: TrainableModel): ReadonlyMap<string, readonly number[]> {
  const build = new GraphBuilder(operators, 'outputs');
  const batch = Object.fromEntries(model.inputs(1).map(({ name, dtype, shape }) => [name, build.input(name, { dtype, shape })]));
  const weights = new Map(
    [...model.parameters.map(({ name, heldShape }) => ({ name, shape: heldShape })), ...model.buffers].map(({ name, shape }) => [
      name,
      build.input(`weight/${name}`, { dtype: 'float32', shape }),
    ]),
  );
  const { outputs } = model.forward(build, batch, (name) => weights.get(name) as Value, false);
  return new Map(Object.entries(outputs).map(([name, value]) => [name, staticShape(value)]));
}

/**
 * Decides `auto`: whole-numbered labels and outputs [batch, C > 1] mean cross-entropy, a single logit binary cross-entropy, otherwise squared error.
 * Errors: `invalid-argument` where the asked-for loss cannot take the labels or the outputs.
 */
export function chooseLoss(asked: TrainSpec['loss'], output: readonly number[], labels: LabelFacts): LossKind {
  const perSample = output.slice(1).reduce((product, length) => product * length, 1);
  const kind = asked !== 'auto' ? asked : perSample === 1 ? 'binary' : labels.integers ? 'cross-entropy' : 'mse';
  const problem =
    kind === 'cross-entropy' && (perSample === 1 || !labels.integers)
      ? 'requires integer labels and outputs [batch, classes] with more than one class'
      : kind === 'binary' && perSample !== 1
        ? 'requires a single logit per sample'
        : undefined;
  if (problem === undefined) return kind;
  throw new LoomweightError(
    'invalid-argument',
    `The loss '${kind}' ${problem}, but the model returns ${formatShape(['batch', ...output.slice(1)])}, and the labels of ${labels.description} are ` +
      `${labels.integers ? 'integers' : 'real numbers'}. Choose another loss.`,
    { loss: kind, output },
  );
}

/** Adds a loss of the model's first output to a graph: of its class scores, or for `mse` of the output itself. */
export function addLoss(kind: LossKind, build: GraphBuilder, forward: Pick<ForwardPass, 'outputs' | 'scores'>, label: Value): Loss {
  const judged = judgedOutput(kind, forward);
  switch (kind) {
    case 'cross-entropy':
      return crossEntropy(build, judged, label);
    case 'binary':
      return binaryCrossEntropy(build, judged, label);
    case 'mse':
      return meanSquaredError(build, judged, label);
  }
}

/** What a loss is computed from: class scores, or for `mse` the first output. Errors: `internal` for a model without outputs. */
export function judgedOutput(kind: LossKind, { outputs, scores }: Pick<ForwardPass, 'outputs' | 'scores'>): Value {
  const value = kind === 'mse' ? Object.values(outputs)[0] : scores;
  if (value) return value;
  throw new LoomweightError('internal', 'A loss was asked for a model without outputs.');
}
