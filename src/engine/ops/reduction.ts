import type { InferContext } from '../graph/operator';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { axesOf, commonDType, floatTypes, intAttribute, normalizeAxis, requireDType, unknownLength } from './inference';

/** Operators that fold axes: reductions, ArgMax, TopK; and those that run along an axis: Softmax, CumSum. */

/** Shape after folding axes; kept as 1 where `keepdims` says so. Axes that are computed leave only the rank, or nothing. */
function reducedShape(x: TensorType, axesInput: TensorType | undefined, context: InferContext): readonly Dimension[] | undefined {
  const keep = intAttribute(context, 'keepdims', 1) !== 0;
  const { values } = axesOf(context, 1);
  if (x.shape === undefined) return undefined;
  const shape = x.shape;
  if (values === undefined && axesInput !== undefined) {
    return keep ? shape.map((_, axis) => unknownLength(context, axis)) : undefined;
  }
  const none = values === undefined || values.length === 0;
  if (none && intAttribute(context, 'noop_with_empty_axes', 0) !== 0) return shape;
  const folded = new Set(none ? shape.map((_, axis) => axis) : values.map((axis) => normalizeAxis(axis, shape.length)));
  return keep ? shape.map((length, axis) => (folded.has(axis) ? 1 : length)) : shape.filter((_, axis) => !folded.has(axis));
}

const reduction = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    maxInputs: 2,
    infer: ([x, axes], context) => {
      requireDType(axes, ['int64'], `The axes of ${name}`);
      return [{ dtype: x.dtype, shape: reducedShape(x, axes, context) }];
    },
  });

const argument = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      const keep = intAttribute(context, 'keepdims', 1) !== 0;
      if (x.shape === undefined) return [{ dtype: 'int64', shape: undefined }];
      const axis = normalizeAxis(intAttribute(context, 'axis', 0), x.shape.length);
      const shape = keep ? x.shape.map((length, index) => (index === axis ? 1 : length)) : x.shape.filter((_, index) => index !== axis);
      return [{ dtype: 'int64', shape }];
    },
  });

/** Largest or smallest k along an axis: values and their int64 indices. */
const topK = defineOp({
  name: 'TopK',
  inputs: 1,
  maxInputs: 2,
  infer: ([x], context) => {
    if (x.shape === undefined) return [x, { dtype: 'int64', shape: undefined }];
    const axis = normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
    const constant = context.constantOf(1);
    const wanted =
      constant?.kind === 'inline' && constant.dtype === 'int64'
        ? Number(new DataView(constant.bytes.buffer, constant.bytes.byteOffset).getBigInt64(0, true))
        : context.attributes['k'] === undefined
          ? unknownLength(context, axis)
          : intAttribute(context, 'k', 0);
    const shape = x.shape.map((length, index) => (index === axis ? wanted : length));
    return [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ];
  },
});

const alongAxis = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      requireDType(x, floatTypes, `The input of ${name}`);
      if (x.shape !== undefined && x.shape.length > 0) normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
      return [x];
    },
  });

/** Running sums along an axis that is a scalar input. */
const cumSum = defineOp({
  name: 'CumSum',
  inputs: 2,
  infer: ([x, axis]) => {
    requireDType(axis, ['int32', 'int64'], 'The axis of CumSum');
    return [x];
  },
});

/** Loss over class labels: a scalar, or one value a sample; optionally the log-probabilities. */
const softmaxCrossEntropyLoss = defineOp({
  name: 'SoftmaxCrossEntropyLoss',
  inputs: 2,
  maxInputs: 3,
  infer: ([scores, labels, weights], context) => {
    const dtype = commonDType([scores, weights]);
    const attribute = context.attributes['reduction'];
    const each = attribute?.kind === 'string' && attribute.value === 'none';
    return [{ dtype, shape: each ? labels.shape : [] }, scores];
  },
});

/** All reductions and operators along an axis. */
export const reductionOperators = [
  ...['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp'].map((kind) => reduction(`Reduce${kind}`)),
  argument('ArgMax'),
  argument('ArgMin'),
  topK,
  ...['Softmax', 'LogSoftmax', 'Hardmax'].map(alongAxis),
  cumSum,
  softmaxCrossEntropyLoss,
];
