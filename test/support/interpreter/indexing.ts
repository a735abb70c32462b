import { axisOf, numberOf, textOf } from './attributes';
import { positionIn } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { placesOf, tensorOf, valueAt, withAxis } from './tensors';

/** Puts or adds values; `placeOf` gives the place of each place of the updates. */
function scatter(
  data: ReferenceTensor,
  updates: ReferenceTensor,
  context: ReferenceContext,
  placeOf: (place: readonly number[]) => readonly number[],
): readonly ReferenceTensor[] {
  const result = Float64Array.from(data.data);
  const add = textOf(context, 'reduction', 'none') === 'add';
  for (const place of placesOf(updates.shape)) {
    const at = positionIn(data.shape, fromFront(placeOf(place), data.shape));
    result[at] = valueAt(updates, place) + (add ? (result[at] as number) : 0);
  }
  return [{ dtype: data.dtype, shape: data.shape, data: result }];
}

const fromFront = (place: readonly number[], shape: readonly number[]): readonly number[] =>
  place.map((index, axis) => axisOf(index, shape[axis] as number));

/** The coordinates in the last axis of an index tensor. */
const tuple = (indices: ReferenceTensor, place: readonly number[]): readonly number[] =>
  Array.from({ length: indices.shape.at(-1) as number }, (_, at) => valueAt(indices, [...place, at]));

/** Reference kernels of operators that pick and put by index. */
export const indexingKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Gather': ([input, indicesInput], context) => {
    const [data, indices] = [input as ReferenceTensor, indicesInput as ReferenceTensor];
    const axis = axisOf(numberOf(context, 'axis', 0), data.shape.length);
    const rank = indices.shape.length;
    return [
      tensorOf(data.dtype, [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)], (place) => {
        const index = valueAt(indices, place.slice(axis, axis + rank));
        return valueAt(data, [...place.slice(0, axis), axisOf(index, data.shape[axis] as number), ...place.slice(axis + rank)]);
      }),
    ];
  },
  ':GatherElements': ([input, indicesInput], context) => {
    const [data, indices] = [input as ReferenceTensor, indicesInput as ReferenceTensor];
    const axis = axisOf(numberOf(context, 'axis', 0), data.shape.length);
    return [
      tensorOf(data.dtype, indices.shape, (place) =>
        valueAt(data, withAxis(place, axis, axisOf(valueAt(indices, place), data.shape[axis] as number))),
      ),
    ];
  },
  ':GatherND': ([input, indicesInput], context) => {
    const [data, indices] = [input as ReferenceTensor, indicesInput as ReferenceTensor];
    const batch = numberOf(context, 'batch_dims', 0);
    const depth = indices.shape.at(-1) as number;
    const outer = indices.shape.slice(0, -1);
    return [
      tensorOf(data.dtype, [...outer, ...data.shape.slice(batch + depth)], (place) => {
        const at = [...place.slice(0, batch), ...tuple(indices, place.slice(0, outer.length)), ...place.slice(outer.length)];
        return valueAt(data, fromFront(at, data.shape));
      }),
    ];
  },
  ':ScatterElements': ([data, indices, updates], context) => {
    const axis = axisOf(numberOf(context, 'axis', 0), (data as ReferenceTensor).shape.length);
    return scatter(data as ReferenceTensor, updates as ReferenceTensor, context, (place) =>
      withAxis(place, axis, valueAt(indices as ReferenceTensor, place)),
    );
  },
  ':Scatter': (inputs, context) => indexingKernels[':ScatterElements']?.(inputs, context) ?? [],
  ':ScatterND': ([data, indicesInput, updates], context) => {
    const indices = indicesInput as ReferenceTensor;
    const outer = indices.shape.length - 1;
    return scatter(data as ReferenceTensor, updates as ReferenceTensor, context, (place) => [
      ...tuple(indices, place.slice(0, outer)),
      ...place.slice(outer),
    ]);
  },
  ':TensorScatter': ([input, update, starts], context) => {
    const cache = input as ReferenceTensor;
    const axis = axisOf(numberOf(context, 'axis', -2), cache.shape.length);
    return scatter(cache, update as ReferenceTensor, { ...context, attributes: {} }, (place) =>
      withAxis(place, axis, ((place[axis] as number) + (starts?.data[place[0] as number] ?? 0)) % (cache.shape[axis] as number)),
    );
  },
  ':OneHot': ([input, depthInput, values], context) => {
    const indices = input as ReferenceTensor;
    const depth = depthInput?.data[0] as number;
    const axis = axisOf(numberOf(context, 'axis', -1), indices.shape.length + 1);
    const shape = [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)];
    return [
      tensorOf(values?.dtype ?? 'float32', shape, (place) => {
        const index = valueAt(indices, [...place.slice(0, axis), ...place.slice(axis + 1)]);
        return values?.data[axisOf(index, depth) === place[axis] ? 1 : 0] as number;
      }),
    ];
  },
  ':Compress': ([input, condition], context) => {
    const x = input as ReferenceTensor;
    const kept = Array.from(condition?.data ?? []).flatMap((value, place) => (value === 0 ? [] : [place]));
    if (context.attributes['axis'] === undefined)
      return [{ dtype: x.dtype, shape: [kept.length], data: Float64Array.from(kept, (place) => x.data[place] as number) }];
    const axis = axisOf(numberOf(context, 'axis', 0), x.shape.length);
    const shape = x.shape.map((length, index) => (index === axis ? kept.length : length));
    return [tensorOf(x.dtype, shape, (place) => valueAt(x, withAxis(place, axis, kept[place[axis] as number] as number)))];
  },
  ':ReverseSequence': ([input, lengths], context) => {
    const x = input as ReferenceTensor;
    const [batch, time] = [numberOf(context, 'batch_axis', 1), numberOf(context, 'time_axis', 0)];
    return [
      tensorOf(x.dtype, x.shape, (place) => {
        const count = lengths?.data[place[batch] as number] as number;
        const at = place[time] as number;
        return valueAt(x, withAxis(place, time, at < count ? count - 1 - at : at));
      }),
    ];
  },
};
