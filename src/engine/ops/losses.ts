import { defineOp } from './defineOp';
import { commonDType } from './inference';

/** Losses over class labels, as exported training graphs have them. */

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

/** All losses. */
export const lossOperators = [softmaxCrossEntropyLoss];
