import { axisOf, listOf, numberOf } from './attributes';
import { foldAxes } from './axes';
import { indicesOf, mapBroadcast, positionIn } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: readonly number[]): number => {
  const centre = mean(values);
  return mean(values.map((value) => (value - centre) ** 2));
};

const addAll = (...tensors: readonly (ReferenceTensor | undefined)[]): ReferenceTensor =>
  tensors.filter((tensor) => tensor !== undefined).reduce((sum, tensor) => mapBroadcast([sum, tensor], (a = 0, b = 0) => a + b));

/** A vector of channels, laid along the second axis of a tensor of the given rank. */
const alongChannels = (vector: ReferenceTensor, rank: number): ReferenceTensor => ({
  ...vector,
  shape: [vector.shape[0] as number, ...Array.from({ length: rank - 2 }, () => 1)],
});

/** (x - mean) / sqrt(variance + epsilon) and its parts, over the given axes. */
function standardized(x: ReferenceTensor, axes: readonly number[], epsilon: number) {
  const centre = foldAxes(x, axes, mean);
  const inverse = foldAxes(x, axes, (values) => 1 / Math.sqrt(variance(values) + epsilon));
  return { value: mapBroadcast([x, centre, inverse], (a = 0, b = 0, c = 0) => (a - b) * c), centre, inverse };
}

function layerNormalization(
  x: ReferenceTensor,
  scale: ReferenceTensor,
  bias: ReferenceTensor | undefined,
  context: ReferenceContext,
  epsilon = 1e-5,
): readonly ReferenceTensor[] {
  const first = axisOf(numberOf(context, 'axis', -1), x.shape.length);
  const axes = x.shape.map((_, axis) => axis).slice(first);
  const { value, centre, inverse } = standardized(x, axes, numberOf(context, 'epsilon', epsilon));
  const scaled = mapBroadcast([value, scale], (a = 0, b = 0) => a * b);
  return [bias ? addAll(scaled, bias) : scaled, centre, inverse];
}

function rmsNormalization(
  x: ReferenceTensor,
  scale: ReferenceTensor,
  context: ReferenceContext,
  epsilon = 1e-5,
): readonly ReferenceTensor[] {
  const first = axisOf(numberOf(context, 'axis', -1), x.shape.length);
  const axes = x.shape.map((_, axis) => axis).slice(first);
  const inverse = foldAxes(
    x,
    axes,
    (values) => 1 / Math.sqrt(mean(values.map((value) => value * value)) + numberOf(context, 'epsilon', epsilon)),
  );
  return [mapBroadcast([x, inverse, scale], (a = 0, b = 0, c = 0) => a * b * c), inverse];
}

const batchNormalization: ReferenceKernel = (inputs, context) => {
  const [x, scale, bias, givenMean, givenVariance] = inputs as ReferenceTensor[] as [
    ReferenceTensor,
    ReferenceTensor,
    ReferenceTensor,
    ReferenceTensor,
    ReferenceTensor,
  ];
  const rank = x.shape.length;
  const epsilon = numberOf(context, 'epsilon', 1e-5);
  const along = (vector: ReferenceTensor): ReferenceTensor => alongChannels(vector, rank);
  const apply = (centre: ReferenceTensor, spread: ReferenceTensor): ReferenceTensor =>
    mapBroadcast(
      [x, along(scale), along(bias), along(centre), along(spread)],
      (a = 0, s = 0, b = 0, m = 0, v = 0) => ((a - m) / Math.sqrt(v + epsilon)) * s + b,
    );
  if (numberOf(context, 'training_mode', 0) === 0) return [apply(givenMean, givenVariance)];
  const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const flat = (tensor: ReferenceTensor): ReferenceTensor => ({ ...tensor, shape: scale.shape });
  const [centre, spread] = [flat(foldAxes(x, axes, mean)), flat(foldAxes(x, axes, variance))];
  const momentum = numberOf(context, 'momentum', 0.9);
  const running = (before: ReferenceTensor, now: ReferenceTensor): ReferenceTensor =>
    mapBroadcast([before, now], (a = 0, b = 0) => a * momentum + b * (1 - momentum));
  return [apply(centre, spread), running(givenMean, centre), running(givenVariance, spread)];
};

/** One scale a group (before opset 21) or a channel. */
const groupNormalization: ReferenceKernel = (inputs, context) => {
  const [x, scale, bias] = inputs as [ReferenceTensor, ReferenceTensor, ReferenceTensor];
  const [batch, channels] = x.shape as [number, number];
  const groups = numberOf(context, 'num_groups', 1);
  const rows = { ...x, shape: [batch, groups, x.data.length / (batch * groups)] };
  const { value } = standardized(rows, [2], numberOf(context, 'epsilon', 1e-5));
  const perChannel = (vector: ReferenceTensor): ReferenceTensor => {
    const each = channels / (vector.shape[0] as number);
    const data = Float64Array.from({ length: channels }, (_, channel) => vector.data[Math.floor(channel / each)] as number);
    return alongChannels({ ...vector, shape: [channels], data }, x.shape.length);
  };
  return [mapBroadcast([{ ...value, shape: x.shape }, perChannel(scale), perChannel(bias)], (a = 0, s = 0, b = 0) => a * s + b)];
};

const instanceNormalization: ReferenceKernel = (inputs, context) => {
  const [x, scale, bias] = inputs as [ReferenceTensor, ReferenceTensor, ReferenceTensor];
  const axes = x.shape.map((_, axis) => axis).slice(2);
  const { value } = standardized(x, axes, numberOf(context, 'epsilon', 1e-5));
  return [
    mapBroadcast([value, alongChannels(scale, x.shape.length), alongChannels(bias, x.shape.length)], (a = 0, s = 0, b = 0) => a * s + b),
  ];
};

/** Over channels c - floor((size - 1) / 2) to c + ceil((size - 1) / 2). */
const localResponse: ReferenceKernel = ([input], context) => {
  const x = input as ReferenceTensor;
  const [size, alpha] = [numberOf(context, 'size', 1), numberOf(context, 'alpha', 1e-4)];
  const [beta, bias] = [numberOf(context, 'beta', 0.75), numberOf(context, 'bias', 1)];
  const channels = x.shape[1] as number;
  const data = x.data.map((value, position) => {
    const at = indicesOf(position, x.shape);
    const channel = at[1] as number;
    let squares = 0;
    const from = Math.max(0, channel - Math.floor((size - 1) / 2));
    const to = Math.min(channels - 1, channel + Math.ceil((size - 1) / 2));
    for (let other = from; other <= to; other += 1)
      squares += (x.data[positionIn(x.shape, [at[0] as number, other, ...at.slice(2)])] as number) ** 2;
    return value / (bias + (alpha / size) * squares) ** beta;
  });
  return [{ ...x, data }];
};

/** Reference kernels of the normalisations. */
export const normalizationKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':LayerNormalization': ([x, scale, bias], context) => layerNormalization(x as ReferenceTensor, scale as ReferenceTensor, bias, context),
  ':RMSNormalization': ([x, scale], context) => rmsNormalization(x as ReferenceTensor, scale as ReferenceTensor, context),
  ':SimplifiedLayerNormalization': ([x, scale], context) => rmsNormalization(x as ReferenceTensor, scale as ReferenceTensor, context),
  'com.microsoft:SkipLayerNormalization': ([x, skip, scale, shift, bias], context) => {
    const sum = addAll(x, skip, bias);
    return [...layerNormalization(sum, scale as ReferenceTensor, shift, context, 1e-12), sum];
  },
  'com.microsoft:SkipSimplifiedLayerNormalization': ([x, skip, scale, bias], context) => {
    const sum = addAll(x, skip, bias);
    const [y, inverse] = rmsNormalization(sum, scale as ReferenceTensor, context, 1e-12) as [ReferenceTensor, ReferenceTensor];
    return [y, inverse, inverse, sum];
  },
  ':BatchNormalization': batchNormalization,
  ':GroupNormalization': groupNormalization,
  ':InstanceNormalization': instanceNormalization,
  ':MeanVarianceNormalization': ([x], context) => {
    const { shape } = x as ReferenceTensor;
    const axes = (listOf(context, 'axes') ?? [0, 2, 3]).map((axis) => axisOf(axis, shape.length));
    return [standardized(x as ReferenceTensor, axes, 0).value];
  },
  ':LRN': localResponse,
};
