import { elementCount } from '../../../src/protocol/dtypes';
import { listOf, numberOf, textOf } from './attributes';
import { positionIn } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { placesOf, tensorOf, valueAt } from './tensors';

/** One space axis of a sliding window, as the ONNX specification of Conv and the pools works it out. */
interface Window {
  readonly length: number;
  readonly size: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  readonly steps: number;
}

function windowsOf(context: ReferenceContext, space: readonly number[], kernel: readonly number[]): readonly Window[] {
  const padding = textOf(context, 'auto_pad', 'NOTSET');
  return space.map((length, axis) => {
    const size = kernel[axis] as number;
    const stride = listOf(context, 'strides')?.[axis] ?? 1;
    const dilation = listOf(context, 'dilations')?.[axis] ?? 1;
    const reach = dilation * (size - 1) + 1;
    let [before, after] = [listOf(context, 'pads')?.[axis] ?? 0, listOf(context, 'pads')?.[axis + space.length] ?? 0];
    if (padding === 'VALID') [before, after] = [0, 0];
    if (padding.startsWith('SAME')) {
      const total = Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach - length);
      const small = Math.floor(total / 2);
      [before, after] = padding === 'SAME_UPPER' ? [small, total - small] : [total - small, small];
    }
    const room = (length + before + after - reach) / stride;
    const roundUp = numberOf(context, 'ceil_mode', 0) !== 0;
    const all = 1 + (roundUp ? Math.ceil(room) : Math.floor(room));
    // A window that would start behind the input and its first pad is left out.
    const steps = roundUp && (all - 1) * stride >= length + before ? all - 1 : all;
    return { length, size, stride, dilation, before, after, steps };
  });
}

/** The places of the input under a window. */
const placeUnder = (windows: readonly Window[], at: readonly number[], offset: readonly number[]): readonly number[] =>
  windows.map(({ stride, dilation, before }, axis) => (at[axis] as number) * stride + (offset[axis] as number) * dilation - before);

const inside = (windows: readonly Window[], places: readonly number[]): boolean =>
  places.every((place, axis) => place >= 0 && place < (windows[axis] as Window).length);

function convolve(x: ReferenceTensor, w: ReferenceTensor, bias: ReferenceTensor | undefined, context: ReferenceContext): ReferenceTensor {
  const groups = numberOf(context, 'group', 1);
  const [maps, perGroup, ...kernel] = w.shape as readonly [number, number, ...number[]];
  const windows = windowsOf(context, x.shape.slice(2), kernel);
  const offsets = placesOf(kernel);
  return tensorOf(x.dtype, [x.shape[0] as number, maps, ...windows.map(({ steps }) => steps)], ([batch = 0, map = 0, ...at]) => {
    const group = Math.floor(map / (maps / groups));
    let sum = bias?.data[map] ?? 0;
    for (let channel = 0; channel < perGroup; channel += 1)
      for (const offset of offsets)
        sum += valueAt(x, [batch, group * perGroup + channel, ...placeUnder(windows, at, offset)]) * valueAt(w, [map, channel, ...offset]);
    return sum;
  });
}

/** Every value of x is multiplied with the kernel and added to the places of the result that it reaches. */
const convTranspose: ReferenceKernel = ([input, weights, bias], context) => {
  const [x, w] = [input as ReferenceTensor, weights as ReferenceTensor];
  const groups = numberOf(context, 'group', 1);
  const [batch, channels, ...space] = x.shape as readonly [number, number, ...number[]];
  const [, perGroup, ...kernel] = w.shape as readonly [number, number, ...number[]];
  const padding = textOf(context, 'auto_pad', 'NOTSET');
  const wanted = listOf(context, 'output_shape');
  const axes = space.map((length, axis) => {
    const stride = listOf(context, 'strides')?.[axis] ?? 1;
    const dilation = listOf(context, 'dilations')?.[axis] ?? 1;
    const extra = listOf(context, 'output_padding')?.[axis] ?? 0;
    const full = stride * (length - 1) + extra + (((kernel[axis] as number) - 1) * dilation + 1);
    const pads = padding === 'NOTSET' ? listOf(context, 'pads') : undefined;
    if (wanted === undefined && !padding.startsWith('SAME')) {
      const before = pads?.[axis] ?? 0;
      return { stride, dilation, before, result: full - before - (pads?.[axis + space.length] ?? 0) };
    }
    const result = wanted?.[axis + wanted.length - space.length] ?? length * stride;
    const total = Math.max(0, full - result);
    return { stride, dilation, before: padding === 'SAME_UPPER' ? Math.floor(total / 2) : total - Math.floor(total / 2), result };
  });
  const shape = [batch, perGroup * groups, ...axes.map(({ result }) => result)];
  const data = new Float64Array(elementCount(shape));
  for (const place of placesOf(x.shape)) {
    const [image = 0, channel = 0, ...at] = place;
    const group = Math.floor(channel / (channels / groups));
    for (let map = 0; map < perGroup; map += 1)
      for (const offset of placesOf(kernel)) {
        const to = axes.map(
          ({ stride, dilation, before }, axis) => (at[axis] as number) * stride + (offset[axis] as number) * dilation - before,
        );
        if (to.some((index, axis) => index < 0 || index >= (axes[axis] as { result: number }).result)) continue;
        const target = positionIn(shape, [image, group * perGroup + map, ...to]);
        data[target] = (data[target] as number) + valueAt(x, place) * valueAt(w, [channel, map, ...offset]);
      }
  }
  if (bias)
    placesOf(shape).forEach(
      (indices, position) => (data[position] = (data[position] as number) + (bias.data[indices[1] as number] as number)),
    );
  return [{ dtype: x.dtype, shape, data }];
};

/** A pool: `fold` sees the places of the input under each window, and how many places with pads. */
function pooled(
  x: ReferenceTensor,
  windows: readonly Window[],
  fold: (places: readonly (readonly number[])[], withPads: number) => number,
): ReferenceTensor {
  const offsets = placesOf(windows.map(({ size }) => size));
  return tensorOf(x.dtype, [...x.shape.slice(0, 2), ...windows.map(({ steps }) => steps)], ([batch = 0, channel = 0, ...at]) => {
    const places = offsets.map((offset) => placeUnder(windows, at, offset));
    const withPads = places.filter((place) =>
      place.every((index, axis) => {
        const { before, after, length } = windows[axis] as Window;
        return index >= -before && index < length + after;
      }),
    ).length;
    return fold(
      places.filter((place) => inside(windows, place)).map((place) => [batch, channel, ...place]),
      withPads,
    );
  });
}

const windowsOfPool = (x: ReferenceTensor, context: ReferenceContext): readonly Window[] =>
  windowsOf(context, x.shape.slice(2), listOf(context, 'kernel_shape') ?? []);

const whole = (x: ReferenceTensor): readonly Window[] =>
  x.shape.slice(2).map((length) => ({ length, size: length, stride: 1, dilation: 1, before: 0, after: 0, steps: 1 }));

function maxPool(x: ReferenceTensor, windows: readonly Window[]): readonly ReferenceTensor[] {
  const best = (places: readonly (readonly number[])[]): readonly number[] =>
    places.reduce((found, place) => (valueAt(x, place) > valueAt(x, found) ? place : found));
  return [
    pooled(x, windows, (places) => valueAt(x, best(places))),
    { ...pooled(x, windows, (places) => positionIn(x.shape, best(places))), dtype: 'int64' },
  ];
}

const norm = (x: ReferenceTensor, windows: readonly Window[], context: ReferenceContext): readonly ReferenceTensor[] => {
  const p = numberOf(context, 'p', 2);
  return [pooled(x, windows, (places) => places.reduce((sum, place) => sum + Math.abs(valueAt(x, place)) ** p, 0) ** (1 / p))];
};

const mean = (x: ReferenceTensor, places: readonly (readonly number[])[], count: number): number =>
  places.reduce((sum, place) => sum + valueAt(x, place), 0) / count;

/** Reference kernels of convolutions and pools. */
export const windowKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Conv': ([x, w, bias], context) => [convolve(x as ReferenceTensor, w as ReferenceTensor, bias, context)],
  'com.microsoft:FusedConv': ([x, w, bias, added], context) => {
    const y = convolve(x as ReferenceTensor, w as ReferenceTensor, bias, context);
    const relu = textOf(context, 'activation', '') === 'Relu';
    return [
      { ...y, data: y.data.map((value, at) => (relu ? Math.max(0, value + (added?.data[at] ?? 0)) : value + (added?.data[at] ?? 0))) },
    ];
  },
  ':ConvTranspose': convTranspose,
  ':MaxPool': ([x], context) => maxPool(x as ReferenceTensor, windowsOfPool(x as ReferenceTensor, context)),
  ':GlobalMaxPool': ([x]) => maxPool(x as ReferenceTensor, whole(x as ReferenceTensor)).slice(0, 1),
  ':AveragePool': ([input], context) => {
    const x = input as ReferenceTensor;
    const includePads = numberOf(context, 'count_include_pad', 0) !== 0;
    return [pooled(x, windowsOfPool(x, context), (places, withPads) => mean(x, places, includePads ? withPads : places.length))];
  },
  ':GlobalAveragePool': ([input]) => {
    const x = input as ReferenceTensor;
    return [pooled(x, whole(x), (places) => mean(x, places, places.length))];
  },
  ':LpPool': ([x], context) => norm(x as ReferenceTensor, windowsOfPool(x as ReferenceTensor, context), context),
  ':GlobalLpPool': ([x], context) => norm(x as ReferenceTensor, whole(x as ReferenceTensor), context),
  ':MaxUnpool': ([input, indices, sizes], context) => {
    const x = input as ReferenceTensor;
    const kernel = listOf(context, 'kernel_shape') ?? [];
    const shape = sizes
      ? [...sizes.data]
      : x.shape.map((length, axis) => {
          if (axis < 2) return length;
          const pads = listOf(context, 'pads');
          const cut = (pads?.[axis - 2] ?? 0) + (pads?.[axis - 2 + kernel.length] ?? 0);
          return (length - 1) * (listOf(context, 'strides')?.[axis - 2] ?? 1) + (kernel[axis - 2] as number) - cut;
        });
    const data = new Float64Array(elementCount(shape));
    x.data.forEach((value, at) => {
      data[indices?.data[at] as number] = value;
    });
    return [{ dtype: x.dtype, shape, data }];
  },
};
