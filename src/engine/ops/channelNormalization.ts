import type { GradientRule } from '../graph/gradient';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { reshaped, staticShape } from './gradients';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { floatAttribute, intAttribute } from './inference';
import { normalized, normalizedGradient } from './normalized';

/** Normalisations of tensors [batch, channels, ...] with one scale and one shift a channel. */

/** A vector of one value a channel as [channels, 1, ...], so that it broadcasts to [batch, channels, ...]. */
function perChannel(build: GraphBuilder, vector: Value, rank: number): Value {
  const channels = staticShape(vector)[0] as number;
  return reshaped(build, vector, [channels, ...Array.from({ length: rank - 2 }, () => 1)]);
}

/** Sums over everything but the channels. */
function sumPerChannel(build: GraphBuilder, value: Value): Value {
  const axes = staticShape(value)
    .map((_, axis) => axis)
    .filter((axis) => axis !== 1);
  return build.op('ReduceSum', [value, build.int64(axes)], { keepdims: int(0) });
}

/** With given statistics y = (x - mean) r scale + bias, r = 1 / sqrt(variance + epsilon): linear in x. */
const batchNormalizationGradient: GradientRule = ({ build, node, inputs, outputGradients, needs }) => {
  const [x, scale, , mean, variance] = inputs;
  const dy = outputGradients[0];
  if (outputGradients.slice(1).some((gradient) => gradient !== undefined))
    throw new LoomweightError('unsupported', 'the target depends on its running statistics.');
  if (!x || !scale || !mean || !variance || !dy) return [];
  const shape = staticShape(x);
  const { add, sub, mul, div, op } = formula(build, x.type.dtype);
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const dBias = needs(2) || (needs(3) && intAttribute(node, 'training_mode', 0) === 0) ? sumPerChannel(build, dy) : undefined;
  if (intAttribute(node, 'training_mode', 0) !== 0) {
    const axes = shape.map((_, axis) => axis).filter((axis) => axis !== 1);
    const parts = normalized(build, x, { axes, epsilon, centred: true });
    const inverse = mul(parts.inverse, perChannel(build, scale, shape.length));
    return [
      needs(0) ? normalizedGradient(build, { ...parts, inverse }, dy, { axes, centred: true }) : undefined,
      needs(1) ? sumPerChannel(build, mul(dy, parts.value)) : undefined,
      dBias,
    ];
  }
  const inverse = div(1, op('Sqrt', add(variance, epsilon)));
  const factor = mul(scale, inverse);
  // The sum of dy (x - mean), which both the scale's and the variance's gradient are made of.
  const moment = needs(1) || needs(4) ? sumPerChannel(build, mul(dy, sub(x, perChannel(build, mean, shape.length)))) : undefined;
  return [
    needs(0) ? mul(dy, perChannel(build, factor, shape.length)) : undefined,
    moment && needs(1) ? mul(moment, inverse) : undefined,
    needs(2) ? dBias : undefined,
    dBias && needs(3) ? op('Neg', mul(dBias, factor)) : undefined,
    moment && needs(4) ? mul(mul(moment, factor), mul(mul(inverse, inverse), -0.5)) : undefined,
  ];
};

/** Inputs: x, scale, bias, mean, variance. In inference one output; in training also the running statistics. */
const batchNormalization = defineOp({
  name: 'BatchNormalization',
  inputs: 4,
  maxInputs: 5,
  infer: ([x, , , mean, variance]) => [x, mean, variance ?? mean],
  gradient: batchNormalizationGradient,
});

const instanceNormalization = defineOp({ name: 'InstanceNormalization', inputs: 3, infer: ([x]) => [x] });
const groupNormalization = defineOp({ name: 'GroupNormalization', inputs: 3, infer: ([x]) => [x] });
const lpNormalization = defineOp({ name: 'LpNormalization', inputs: 1, infer: ([x]) => [x] });
const meanVarianceNormalization = defineOp({ name: 'MeanVarianceNormalization', inputs: 1, infer: ([x]) => [x] });
const localResponseNormalization = defineOp({ name: 'LRN', inputs: 1, infer: ([x]) => [x] });

/** All of them. */
export const channelNormalizationOperators = [
  batchNormalization,
  instanceNormalization,
  groupNormalization,
  lpNormalization,
  meanVarianceNormalization,
  localResponseNormalization,
];
