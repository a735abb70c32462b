import type { GradientContext, GradientRule } from '../graph/gradient';
import { defineOp } from './defineOp';
import { commonDType, invalid, requireDType, requireRank } from './inference';

/** Rotary position embeddings: pairs of values rotated by an angle proportional to the position. */

/** The gradient rotates back: the same node with negated sines. The cosine and sine tables are not weights. */
const rotaryGradient =
  (cosine: number, sine: number): GradientRule =>
  ({ build, node, inputs, outputGradients: [dy], needs }: GradientContext) => {
    const sines = inputs[sine];
    if (!dy || !sines) return [];
    if (needs(cosine) || needs(sine)) throw invalid('its cosine and sine tables have no gradient rule. Exclude them from training');
    const back = inputs.map((input, index) => (index === 0 ? dy : index === sine ? build.op('Neg', [sines]) : input));
    return [build.op(node.op, back, node.attributes, { domain: node.domain })];
  };

/** Standard since opset 23: x, cosines, sines, positions (optional). */
const rotaryEmbedding = defineOp({
  name: 'RotaryEmbedding',
  inputs: 3,
  maxInputs: 4,
  infer: ([x, cosine, sine, positions]) => {
    requireRank(x, [3, 4], 'The input of RotaryEmbedding');
    requireDType(positions, ['int64'], 'The positions of RotaryEmbedding');
    commonDType([x, cosine, sine]);
    return [x];
  },
  gradient: rotaryGradient(1, 2),
});

/** ONNX Runtime's version: positions are the second input. */
const microsoftRotaryEmbedding = defineOp({
  name: 'RotaryEmbedding',
  domain: 'com.microsoft',
  inputs: 4,
  infer: ([x, positions, cosine, sine]) => {
    requireRank(x, [3, 4], 'The input of RotaryEmbedding');
    requireDType(positions, ['int64'], 'The positions of RotaryEmbedding');
    commonDType([x, cosine, sine]);
    return [x];
  },
  gradient: rotaryGradient(2, 3),
});

/** The operators of this file. */
export const rotaryOperators = [rotaryEmbedding, microsoftRotaryEmbedding];
