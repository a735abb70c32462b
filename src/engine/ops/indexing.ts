import { formatShape, mayBeEqual } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import {
  compressGradient,
  gatherElementsGradient,
  gatherGradient,
  gatherNdGradient,
  oneHotGradient,
  scatterElementsGradient,
  scatterNdGradient,
  tensorScatterGradient,
} from './indexingGradients';
import { commonDType, constantInts, indexTypes, intAttribute, invalid, normalizeAxis, requireDType, unknownLength } from './inference';

/** Operators that pick or write values by index. */

/** Slices of `data` along an axis: data.shape with that axis replaced by the indices' shape. */
const gather = defineOp({
  name: 'Gather',
  inputs: 2,
  infer: ([data, indices], context) => {
    requireDType(indices, indexTypes, 'The indices of Gather');
    if (data.shape === undefined || indices.shape === undefined) return [{ dtype: data.dtype, shape: undefined }];
    const axis = normalizeAxis(intAttribute(context, 'axis', 0), data.shape.length);
    return [{ dtype: data.dtype, shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)] }];
  },
  gradient: gatherGradient,
});

/** One value per index along one axis: the indices' shape. */
const gatherElements = defineOp({
  name: 'GatherElements',
  inputs: 2,
  infer: ([data, indices]) => {
    requireDType(indices, indexTypes, 'The indices of GatherElements');
    if (data.shape !== undefined && indices.shape !== undefined && data.shape.length !== indices.shape.length)
      throw invalid(`GatherElements needs equal ranks, got ${formatShape(data.shape)} and ${formatShape(indices.shape)}.`);
    return [{ dtype: data.dtype, shape: indices.shape }];
  },
  gradient: gatherElementsGradient,
});

/** Slices by index tuples: the last axis of `indices` contains coordinates into the axes after the batch. */
const gatherNd = defineOp({
  name: 'GatherND',
  inputs: 2,
  infer: ([data, indices], context) => {
    requireDType(indices, ['int64'], 'The indices of GatherND');
    const batch = intAttribute(context, 'batch_dims', 0);
    const depth = indices.shape?.at(-1);
    if (data.shape === undefined || indices.shape === undefined || typeof depth !== 'number')
      return [{ dtype: data.dtype, shape: undefined }];
    if (batch + depth > data.shape.length)
      throw invalid(`GatherND has ${depth} coordinates after ${batch} batch axes, but its data has shape ${formatShape(data.shape)}.`);
    return [{ dtype: data.dtype, shape: [...indices.shape.slice(0, -1), ...data.shape.slice(batch + depth)] }];
  },
  gradient: gatherNdGradient,
});

/** A copy of `data` with values written (or added, multiplied, ...) at indices of the updates' shape. */
const scatterElements = defineOp({
  name: 'ScatterElements',
  inputs: 3,
  infer: ([data, indices, updates]) => {
    requireDType(indices, indexTypes, 'The indices of ScatterElements');
    return [{ dtype: commonDType([data, updates]), shape: data.shape }];
  },
  gradient: scatterElementsGradient,
});

/** The name of ScatterElements before opset 11. */
const scatter = defineOp({ name: 'Scatter', inputs: 3, infer: (inputs, context) => scatterElements.infer(inputs, context) });

/** A copy of `data` with slices written at index tuples. */
const scatterNd = defineOp({
  name: 'ScatterND',
  inputs: 3,
  infer: ([data, indices, updates]) => {
    requireDType(indices, ['int64'], 'The indices of ScatterND');
    const depth = indices.shape?.at(-1);
    if (data.shape !== undefined && indices.shape !== undefined && updates.shape !== undefined && typeof depth === 'number') {
      const expected = [...indices.shape.slice(0, -1), ...data.shape.slice(depth)];
      const shape = updates.shape;
      if (shape.length !== expected.length || !expected.every((length, axis) => mayBeEqual(length, shape[axis] as Dimension)))
        throw invalid(`ScatterND needs updates of shape ${formatShape(expected)}, got ${formatShape(shape)}.`);
    }
    return [{ dtype: commonDType([data, updates]), shape: data.shape }];
  },
  gradient: scatterNdGradient,
});

/** Writes `update` into a cache along an axis at the position of each batch row. */
const tensorScatter = defineOp({
  name: 'TensorScatter',
  inputs: 2,
  maxInputs: 3,
  infer: ([cache, update]) => [{ dtype: commonDType([cache, update]), shape: cache.shape }],
  gradient: tensorScatterGradient,
});

/** A new axis of length `depth` with the second of `values` at the index and the first elsewhere. */
const oneHot = defineOp({
  name: 'OneHot',
  inputs: 3,
  infer: ([indices, , values], context) => {
    if (indices.shape === undefined) return [{ dtype: values.dtype, shape: undefined }];
    const rank = indices.shape.length + 1;
    const axis = normalizeAxis(intAttribute(context, 'axis', -1), rank);
    const depth = constantInts(context, 1)?.[0] ?? unknownLength(context, axis);
    return [{ dtype: values.dtype, shape: [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)] }];
  },
  gradient: oneHotGradient,
});

/** Coordinates of the nonzero values: [rank, count]. */
const nonZero = defineOp({
  name: 'NonZero',
  inputs: 1,
  infer: ([x], context) => [
    { dtype: 'int64', shape: [x.shape === undefined ? unknownLength(context, 0) : x.shape.length, unknownLength(context, 1)] },
  ],
  gradient: 'none',
});

/** Slices along an axis for which the condition holds; without an axis, the tensor is flattened. */
const compress = defineOp({
  name: 'Compress',
  inputs: 2,
  infer: ([x, condition], context) => {
    requireDType(condition, ['bool'], 'The condition of Compress');
    const kept = constantInts(context, 1)?.filter((keep) => keep !== 0).length;
    if (context.attributes['axis'] === undefined) return [{ dtype: x.dtype, shape: [kept ?? unknownLength(context, 0)] }];
    if (x.shape === undefined) return [x];
    const axis = normalizeAxis(intAttribute(context, 'axis', 0), x.shape.length);
    return [{ dtype: x.dtype, shape: x.shape.map((length, index) => (index === axis ? (kept ?? unknownLength(context, axis)) : length)) }];
  },
  gradient: compressGradient,
});

/** Reverses the first `lengths[b]` positions of the time axis of each batch row. */
const reverseSequence = defineOp({
  name: 'ReverseSequence',
  inputs: 2,
  infer: ([x, lengths]) => {
    requireDType(lengths, ['int64'], 'The lengths of ReverseSequence');
    return [x];
  },
  gradient: ({ build, node, inputs: [, lengths], outputGradients: [dy] }) => [
    dy && build.op('ReverseSequence', [dy, lengths], node.attributes),
  ],
});

/** The operators of this file. */
export const indexingOperators = [
  gather,
  gatherElements,
  gatherNd,
  scatterElements,
  scatter,
  scatterNd,
  tensorScatter,
  oneHot,
  nonZero,
  compress,
  reverseSequence,
];
