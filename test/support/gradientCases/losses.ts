import { int, type AttributeInput } from '../../../src/engine/graph/builder';
import { drawn, given, type GradientCase, type GradientInput } from './gradientCase';

const labels = given('int64', [4], [0, 2, 1, 0]);
const ignoring = given('int64', [4], [0, -100, 1, 2]);
const weights: GradientInput = {
  kind: 'constant',
  data: { kind: 'inline', dtype: 'float32', shape: [3], bytes: new Uint8Array(Float32Array.of(0.5, 2, 1.5).buffer) },
};

/** Losses over class labels. */
export const lossCases: readonly GradientCase[] = ['SoftmaxCrossEntropyLoss', 'NegativeLogLikelihoodLoss'].flatMap(
  (op): readonly GradientCase[] => {
    const row = (inputs: readonly GradientInput[], attributes: Record<string, AttributeInput>, note: string): GradientCase => ({
      op,
      inputs,
      attributes,
      note,
    });
    return [
      row([drawn(4, 3), labels], {}, 'mean'),
      row([drawn(4, 3), labels], { reduction: 'sum' }, 'sum'),
      row([drawn(4, 3), labels], { reduction: 'none' }, 'none'),
      row([drawn(4, 3), labels, weights], {}, 'class weights'),
      row([drawn(4, 3), ignoring], { ignore_index: int(-100) }, 'ignored labels'),
      row([drawn(4, 3), ignoring, weights], { ignore_index: int(-100) }, 'ignored labels and class weights'),
      row([drawn(2, 3, 2), given('int32', [2, 2], [0, 2, 1, 0])], { reduction: 'none' }, 'labels by place'),
      row([drawn(2, 3, 2), given('int64', [2, 2], [0, 2, 1, 0]), weights], {}, 'labels by place, class weights'),
      ...(op === 'SoftmaxCrossEntropyLoss' ? [{ ...row([drawn(4, 3), labels], {}, 'with log-probabilities'), outputs: 2 }] : []),
    ];
  },
);
