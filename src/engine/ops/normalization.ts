import type { InferContext } from '../graph/operator';
import type { TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { floatTypes, intAttribute, normalizeAxis, requireDType } from './inference';

/** Normalisations. Besides the result some give statistics: mean and inverse deviation, with the folded axes as 1. */

/** Type of the statistics of a normalisation over the axes from `axis` on. */
function statistics(x: TensorType, context: InferContext): TensorType {
  if (x.shape === undefined) return { dtype: 'float32', shape: undefined };
  const axis = normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
  return { dtype: 'float32', shape: x.shape.map((length, index) => (index < axis ? length : 1)) };
}

const layerNormalization = defineOp({
  name: 'LayerNormalization',
  inputs: 2,
  maxInputs: 3,
  infer: ([x], context) => {
    requireDType(x, floatTypes, 'The input of LayerNormalization');
    return [x, statistics(x, context), statistics(x, context)];
  },
});

/** x / sqrt(mean(x^2) + epsilon) * scale, over the axes from `axis` on. Standard since opset 23. */
const rmsNormalization = defineOp({ name: 'RMSNormalization', inputs: 2, infer: ([x]) => [x] });

/** ONNX Runtime's form of the same, in the standard domain although no standard has it. */
const simplifiedLayerNormalization = defineOp({
  name: 'SimplifiedLayerNormalization',
  inputs: 2,
  infer: ([x], context) => [x, statistics(x, context)],
});

/** Normalises input + skip (+ bias); the fourth output is that sum, the new residual. */
const skipNormalization = (name: string, inputs: 3, maxInputs: number) =>
  defineOp({
    name,
    domain: 'com.microsoft',
    inputs,
    maxInputs,
    infer: ([x], context) => [x, statistics(x, context), statistics(x, context), x],
  });

/** Inputs: x, scale, bias, mean, variance. In inference one output; in training also the running statistics. */
const batchNormalization = defineOp({
  name: 'BatchNormalization',
  inputs: 4,
  maxInputs: 5,
  infer: ([x, , , mean, variance]) => [x, mean, variance ?? mean],
});

const instanceNormalization = defineOp({ name: 'InstanceNormalization', inputs: 3, infer: ([x]) => [x] });
const groupNormalization = defineOp({ name: 'GroupNormalization', inputs: 3, infer: ([x]) => [x] });
const lpNormalization = defineOp({ name: 'LpNormalization', inputs: 1, infer: ([x]) => [x] });
const meanVarianceNormalization = defineOp({ name: 'MeanVarianceNormalization', inputs: 1, infer: ([x]) => [x] });
const localResponseNormalization = defineOp({ name: 'LRN', inputs: 1, infer: ([x]) => [x] });

/** All normalisations. */
export const normalizationOperators = [
  layerNormalization,
  rmsNormalization,
  simplifiedLayerNormalization,
  skipNormalization('SkipSimplifiedLayerNormalization', 3, 4),
  skipNormalization('SkipLayerNormalization', 3, 5),
  batchNormalization,
  instanceNormalization,
  groupNormalization,
  lpNormalization,
  meanVarianceNormalization,
  localResponseNormalization,
];
