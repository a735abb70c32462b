import type { GradientContext, GradientRule } from '../graph/gradient';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import type { TensorType } from '../graph/types';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { castTo, reshaped, staticShape } from './gradients';
import { commonDType, indexTypes, intAttribute, requireDType, stringAttribute } from './inference';

/**
 * Losses over class labels, as in exported training graphs: scores or log-probabilities [N, C, d1, ...], labels [N, d1, ...], optionally
 * one weight per class. Labels equal to `ignore_index` are ignored.
 */

/** The loss: a scalar, or one value per sample if it is not reduced. */
function lossType(scores: TensorType, labels: TensorType, weights: TensorType | undefined, context: InferContext): TensorType {
  requireDType(labels, indexTypes, 'The labels of a loss');
  return { dtype: commonDType([scores, weights]), shape: stringAttribute(context, 'reduction', 'mean') === 'none' ? labels.shape : [] };
}

/** Ingredients of the gradient of a loss. */
interface LabelParts {
  /** 1 at each sample's class, 0 elsewhere: the scores' shape. */
  readonly oneHot: Value;
  /** d(target)/d(one sample's negative log-probability), with an axis of length 1 for the classes. */
  readonly factor: Value;
}

function labelParts({ build, node, inputs, needs }: GradientContext, scores: Value, labels: Value, dLoss: Value): LabelParts {
  if (needs(2)) throw new LoomweightError('unsupported', 'class weights have no gradient rule.');
  const weights = inputs[2];
  const { dtype } = scores.type;
  const { mul, div, sub, cast } = formula(build, dtype);
  const ignored = node.attributes['ignore_index'] ? equalsLabel(build, labels, intAttribute(node, 'ignore_index', 0)) : undefined;
  const used = ignored ? build.op('Where', [ignored, labelScalar(build, 0, labels), labels]) : labels;
  const counted = ignored ? sub(1, cast(ignored)) : undefined;
  const weighted = weights ? build.op('Gather', [weights, used]) : undefined;
  const share = counted && weighted ? mul(counted, weighted) : (counted ?? weighted);

  const shape = staticShape(labels);
  const reduction = stringAttribute(node, 'reduction', 'mean');
  const samples = shape.reduce((product, length) => product * length, 1);
  const each =
    reduction === 'mean' ? (share ? div(dLoss, build.op('ReduceSum', [share], { keepdims: int(0) })) : mul(dLoss, 1 / samples)) : dLoss;
  const factor = share ? mul(each, share) : each;
  const classes = build.int64(staticShape(scores)[1] as number);
  return {
    // The CPU supports OneHot for int64 labels and float32 values.
    oneHot: cast(build.op('OneHot', [castTo(build, used, 'int64'), classes, build.float32([0, 1])], { axis: int(1) })),
    factor: staticShape(factor).length === 0 ? factor : reshaped(build, factor, [shape[0] as number, 1, ...shape.slice(1)]),
  };
}

const labelScalar = (build: GraphBuilder, value: number, labels: Value): Value =>
  labels.type.dtype === 'int64' ? build.int64(value, []) : castTo(build, build.int64(value, []), labels.type.dtype);

const equalsLabel = (build: GraphBuilder, labels: Value, value: number): Value =>
  build.op('Equal', [labels, labelScalar(build, value, labels)]);

/** d/dx = (softmax(x) - onehot) times the sample's share; the gradient of the log-probabilities goes through the rule of LogSoftmax. */
const crossEntropyGradient: GradientRule = (context) => {
  const { build, inputs, outputs, outputGradients } = context;
  const [scores, labels] = inputs;
  const [dLoss, dLog] = outputGradients;
  if (!scores || !labels) return [];
  const { add, sub, mul, op } = formula(build, scores.type.dtype);
  const probabilities = op('Exp', outputs[1] ?? build.op('LogSoftmax', [scores], { axis: int(1) }));
  const ofLoss = (): Value | undefined => {
    if (!dLoss) return undefined;
    const { oneHot, factor } = labelParts(context, scores, labels, dLoss);
    return mul(sub(probabilities, oneHot), factor);
  };
  const ofLog = (): Value | undefined =>
    dLog && sub(dLog, mul(probabilities, build.op('ReduceSum', [dLog, build.int64([1])], { keepdims: int(1) })));
  const [first, second] = [ofLoss(), ofLog()];
  return [first && second ? add(first, second) : (first ?? second)];
};

/** Negative log-likelihood of softmax(scores); optionally the log-probabilities as second output. */
const softmaxCrossEntropyLoss = defineOp({
  name: 'SoftmaxCrossEntropyLoss',
  inputs: 2,
  maxInputs: 3,
  infer: ([scores, labels, weights], context) => [lossType(scores, labels, weights, context), scores],
  gradient: crossEntropyGradient,
});

/** The same, from log-probabilities. */
const negativeLogLikelihoodLoss = defineOp({
  name: 'NegativeLogLikelihoodLoss',
  inputs: 2,
  maxInputs: 3,
  infer: ([scores, labels, weights], context) => [lossType(scores, labels, weights, context)],
  gradient: (context) => {
    const [scores, labels] = context.inputs;
    const dLoss = context.outputGradients[0];
    if (!scores || !labels || !dLoss) return [];
    const { oneHot, factor } = labelParts(context, scores, labels, dLoss);
    const { mul, op } = formula(context.build, scores.type.dtype);
    return [op('Neg', mul(oneHot, factor))];
  },
});

/** The operators of this file. */
export const lossOperators = [softmaxCrossEntropyLoss, negativeLogLikelihoodLoss];
