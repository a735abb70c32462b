import type { GradientContext, GradientRule } from '../graph/gradient';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { reshaped, staticShape } from './gradients';
import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { floatAttribute, intAttribute, intsAttribute, normalizeAxis, requiredInt } from './inference';
import { normalized, normalizedGradient } from './normalized';

/** Normalisations of tensors [batch, channels, ...] with one scale and one shift per channel. */

/** A vector with one value per channel as [channels, 1, ...], so that it broadcasts to [batch, channels, ...]. */
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
    throw new LoomweightError('unsupported', 'the loss depends on its running statistics.');
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
  // The sum of dy (x - mean), from which the gradients of both scale and variance are computed.
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

/**
 * Gradients of y = n(x) scale + bias, where n normalises each row of x viewed as [batch * groups, rest]: groups of channels, or single
 * channels. `scale` and `bias` have one value per channel, or one per group (GroupNormalization before opset 21).
 */
function groupedGradients(context: GradientContext, groups: number): readonly (Value | undefined)[] {
  const { build, node, inputs, outputGradients, needs } = context;
  const [x, scale, bias, dy] = [inputs[0], inputs[1], inputs[2], outputGradients[0]];
  if (!x || !scale || !dy) return [];
  const shape = staticShape(x);
  const [batch, channels] = [shape[0] as number, shape[1] as number];
  const rest = shape.slice(2).reduce((product, length) => product * length, 1);
  const rows = [batch * groups, (channels / groups) * rest];
  const { mul } = formula(build, x.type.dtype);
  // [batch, channels, rest] with one scale per channel, [batch, groups, ...] with one per group.
  const scales = staticShape(scale)[0] as number;
  const sections = [batch, scales, (channels / scales) * rest];
  const along = reshaped(build, scale, [scales, 1]);
  const dySections = reshaped(build, dy, sections);
  const sumOf = (value: Value): Value => build.op('ReduceSum', [value, build.int64([0, 2])], { keepdims: int(0) });
  const dBias = bias && needs(2) ? sumOf(dySections) : undefined;
  if (!needs(0) && !needs(1)) return [undefined, undefined, dBias];
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const parts = normalized(build, reshaped(build, x, rows), { axes: [1], epsilon, centred: true });
  const dx = () => normalizedGradient(build, parts, reshaped(build, mul(dySections, along), rows), { axes: [1], centred: true });
  return [
    needs(0) ? reshaped(build, dx(), shape) : undefined,
    needs(1) ? sumOf(mul(dySections, reshaped(build, parts.value, sections))) : undefined,
    dBias,
  ];
}

const instanceNormalization = defineOp({
  name: 'InstanceNormalization',
  inputs: 3,
  infer: ([x]) => [x],
  gradient: (context) => groupedGradients(context, context.inputs[0] ? (staticShape(context.inputs[0])[1] as number) : 1),
});

const groupNormalization = defineOp({
  name: 'GroupNormalization',
  inputs: 3,
  infer: ([x]) => [x],
  gradient: (context) => groupedGradients(context, requiredInt(context.node, 'num_groups')),
});

/** x divided by its norm along one axis: dx = (dy - t sum(dy y)) / norm, with t = y for the 2-norm and the sign of x for the 1-norm. */
const lpNormalization = defineOp({
  name: 'LpNormalization',
  inputs: 1,
  infer: ([x]) => [x],
  gradient: ({ build, node, inputs: [x], outputs: [y], outputGradients: [dy] }) => {
    if (!x || !y || !dy) return [];
    const { sub, mul, div, equal, where, op } = formula(build, x.type.dtype);
    const axis = normalizeAxis(intAttribute(node, 'axis', -1), staticShape(x).length);
    const reduce = (name: string, value: Value): Value => build.op(name, [value, build.int64([axis])], { keepdims: int(1) });
    const absolute = intAttribute(node, 'p', 2) === 1;
    const along = reduce('ReduceSum', mul(dy, y));
    const norm = reduce(absolute ? 'ReduceL1' : 'ReduceL2', x);
    // The runtime maps a row of zeros to 0: no slope there.
    const inverse = where(equal(norm, 0), 0, div(1, norm));
    return [mul(sub(dy, mul(absolute ? op('Sign', x) : y, along)), inverse)];
  },
});

/** (x - mean) / deviation over the given axes, without scale. */
const meanVarianceNormalization = defineOp({
  name: 'MeanVarianceNormalization',
  inputs: 1,
  infer: ([x]) => [x],
  gradient: ({ build, node, inputs: [x], outputGradients: [dy] }) => {
    if (!x || !dy) return [];
    const rank = staticShape(x).length;
    const axes = (intsAttribute(node, 'axes') ?? [0, 2, 3]).map((axis) => normalizeAxis(axis, rank));
    const parts = normalized(build, x, { axes, epsilon: 0, centred: true });
    return [normalizedGradient(build, parts, dy, { axes, centred: true })];
  },
});

/**
 * y = x s^-beta with s = bias + alpha / size * (sum of squares over `size` neighbouring channels). The window sums are average pools along
 * the channels, with the window mirrored in the backward pass: dx = dy s^-beta - 2 alpha beta x pool(dy y / s).
 */
const localResponseNormalization = defineOp({
  name: 'LRN',
  inputs: 1,
  infer: ([x]) => [x],
  gradient: ({ build, node, inputs: [x], outputs: [y], outputGradients: [dy] }) => {
    if (!x || !y || !dy) return [];
    const shape = staticShape(x);
    const size = requiredInt(node, 'size');
    const [alpha, beta] = [floatAttribute(node, 'alpha', 1e-4), floatAttribute(node, 'beta', 0.75)];
    const { add, sub, mul, div, op } = formula(build, x.type.dtype);
    const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
    const pool = (value: Value, from: number, to: number): Value => {
      const flat = reshaped(build, value, [shape[0] as number, 1, shape[1] as number, -1]);
      const averaged = build.op('AveragePool', [flat], {
        kernel_shape: ints([size, 1]),
        pads: ints([from, 0, to, 0]),
        count_include_pad: int(1),
      });
      return reshaped(build, averaged, shape);
    };
    const spread = add(mul(pool(mul(x, x), before, after), alpha), floatAttribute(node, 'bias', 1));
    const crossed = pool(div(mul(dy, y), spread), after, before);
    return [sub(mul(dy, op('Pow', spread, -beta)), mul(mul(x, crossed), 2 * alpha * beta))];
  },
});

/** The operators of this file. */
export const channelNormalizationOperators = [
  batchNormalization,
  instanceNormalization,
  groupNormalization,
  lpNormalization,
  meanVarianceNormalization,
  localResponseNormalization,
];
