import type { Fold, FoldContext } from '../../graph/passes/folding';
import { isStaticShape } from '../../graph/shapes';
import { elementCount } from '../../../protocol/dtypes';
import { intAttribute, intsAttribute, normalizeAxis } from '../inference';
import { single, type FoldEntry } from './foldEntry';
import { broadcastPlaces, placesOf, readHost, readIndices, stridesOf, take, withShape, type HostTensor } from './hostTensor';

/** Operators that rearrange known values, and those that do nothing for the given shapes. */

/** The shape that the operator's rule gives its first output, if known. */
function outputShape({ outputTypes }: FoldContext): readonly number[] | undefined {
  const shape = outputTypes[0]?.shape;
  return isStaticShape(shape) ? shape : undefined;
}

const same = [{ kind: 'same', input: 0 }] as const;

function keepsShape(context: FoldContext): boolean {
  const from = context.types[0]?.shape;
  const to = outputShape(context);
  return isStaticShape(from) && to !== undefined && from.length === to.length && from.every((length, axis) => length === to[axis]);
}

/** Reshape, Squeeze, Unsqueeze, Flatten: the rule gives the shape, and the values keep their order. */
const reordered: Fold = (context) => {
  if (keepsShape(context)) return same;
  const x = readHost(context.valueOf(0));
  const shape = outputShape(context);
  return x && shape && single(withShape(x, shape));
};

const expand: Fold = (context) => {
  if (keepsShape(context)) return same;
  const x = readHost(context.valueOf(0));
  const shape = outputShape(context);
  return x && shape && single(take(x, broadcastPlaces(x.shape, shape), shape));
};

const transpose: Fold = (context) => {
  const rank = context.types[0]?.shape?.length;
  if (rank === undefined) return undefined;
  const order = intsAttribute(context.node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  if (order.every((axis, index) => axis === index)) return same;
  const x = readHost(context.valueOf(0));
  if (x === undefined) return undefined;
  const strides = stridesOf(x.shape);
  const shape = order.map((axis) => x.shape[axis] as number);
  return single(take(x, placesOf(shape, order.map((axis) => strides[axis] as number)), shape)); // prettier-ignore
};

const gather: Fold = ({ node, valueOf }) => {
  const data = readHost(valueOf(0));
  const indices = readHost(valueOf(1));
  const numbers = readIndices(valueOf(1));
  if (data === undefined || indices === undefined || numbers === undefined) return undefined;
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), data.shape.length);
  const length = data.shape[axis] as number;
  const rows = numbers.map((index) => (index < 0 ? index + length : index));
  if (rows.some((row) => row < 0 || row >= length)) return undefined;
  const inner = elementCount(data.shape.slice(axis + 1));
  const outer = elementCount(data.shape.slice(0, axis));
  const places = Int32Array.from({ length: outer * rows.length * inner }, (_, at) => {
    const block = Math.floor(at / inner);
    return (Math.floor(block / rows.length) * length + (rows[block % rows.length] as number)) * inner + (at % inner);
  });
  return single(take(data, places, [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)]));
};

/** One element per index along an axis. */
const gatherElements: Fold = ({ node, valueOf }) => {
  const data = readHost(valueOf(0));
  const indices = readHost(valueOf(1));
  if (data === undefined || indices === undefined) return undefined;
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), data.shape.length);
  const strides = stridesOf(data.shape);
  const length = data.shape[axis] as number;
  const step = strides[axis] as number;
  // Along the axis, the index gives the position; along the others, the position in the indices does.
  const others = placesOf(indices.shape, strides.map((stride, at) => (at === axis ? 0 : stride))); // prettier-ignore
  const rows = Array.from(indices.data as ArrayLike<number | bigint>, (index) => Number(index) + (Number(index) < 0 ? length : 0));
  if (rows.some((row) => row < 0 || row >= length)) return undefined;
  return single(
    take(
      data,
      Int32Array.from(rows, (row, at) => (others[at] as number) + row * step),
      indices.shape,
    ),
  );
};

/** Slices by index tuples, without batch axes. */
const gatherNd: Fold = ({ node, valueOf }) => {
  const data = readHost(valueOf(0));
  const indices = readHost(valueOf(1));
  if (data === undefined || indices === undefined || intAttribute(node, 'batch_dims', 0) !== 0) return undefined;
  const depth = indices.shape.at(-1) ?? 0;
  const strides = stridesOf(data.shape);
  const inner = elementCount(data.shape.slice(depth));
  const starts: number[] = [];
  for (let at = 0; at < indices.data.length; at += depth) {
    let start = 0;
    for (let axis = 0; axis < depth; axis += 1) {
      const index = Number(indices.data[at + axis]);
      const length = data.shape[axis] as number;
      const row = index < 0 ? index + length : index;
      if (row < 0 || row >= length) return undefined;
      start += row * (strides[axis] as number);
    }
    starts.push(start);
  }
  const places = Int32Array.from({ length: starts.length * inner }, (_, at) => (starts[Math.floor(at / inner)] as number) + (at % inner));
  return single(take(data, places, [...indices.shape.slice(0, -1), ...data.shape.slice(depth)]));
};

/** Parts of length 0 contribute nothing: with one other part, that part is the result. */
const concat: Fold = (context) => {
  const { node, types, valueOf } = context;
  const rank = types[0]?.shape?.length;
  if (rank === undefined) return undefined;
  const axis = normalizeAxis(intAttribute(node, 'axis', 1), rank);
  const filled = types.flatMap((type, index) => (type?.shape?.[axis] === 0 ? [] : [index]));
  if (filled.length === 1) return [{ kind: 'same', input: filled[0] as number }];
  const parts: HostTensor[] = [];
  for (const index of types.keys()) {
    const part = readHost(valueOf(index));
    if (part === undefined) return undefined;
    parts.push(part);
  }
  const first = parts[0] as HostTensor;
  const outer = elementCount(first.shape.slice(0, axis));
  const chunks = parts.map((part) => elementCount(part.shape.slice(axis)));
  const shape = first.shape.map((length, index) =>
    index === axis ? parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0) : length,
  );
  const joined = (pick: (part: HostTensor, at: number) => number | bigint): (number | bigint)[] =>
    Array.from({ length: outer }, (_, row) =>
      parts.flatMap((part, index) => {
        const chunk = chunks[index] as number;
        return Array.from({ length: chunk }, (__, at) => pick(part, row * chunk + at));
      }),
    ).flat();
  const values = joined((part, at) => part.data[at] as number | bigint);
  const data = first.data instanceof BigInt64Array ? BigInt64Array.from(values as bigint[]) : Float64Array.from(values as number[]);
  return single({ dtype: first.dtype, shape, data });
};

const slice: Fold = (context) => {
  const { node, types, valueOf } = context;
  const shape = outputShape(context);
  const from = types[0]?.shape;
  if (shape === undefined || !isStaticShape(from)) return undefined;
  const starts = intsAttribute(node, 'starts') ?? readIndices(valueOf(1));
  const axes = intsAttribute(node, 'axes') ?? (node.inputs[3] ? readIndices(valueOf(3)) : starts?.map((_, axis) => axis));
  const steps = node.inputs[4] ? readIndices(valueOf(4)) : starts?.map(() => 1);
  if (starts === undefined || axes === undefined || steps === undefined) return undefined;
  if (keepsShape(context) && steps.every((step) => step > 0)) return same;
  const x = readHost(valueOf(0));
  if (x === undefined) return undefined;
  const strides = [...stridesOf(from)];
  let begin = 0;
  axes.forEach((given, index) => {
    const axis = normalizeAxis(given, from.length);
    const length = from[axis] as number;
    const step = steps[index] as number;
    const start = starts[index] as number;
    const clamped = Math.min(Math.max(start < 0 ? start + length : start, 0), step > 0 ? length : length - 1);
    begin += clamped * (strides[axis] as number);
    strides[axis] = (strides[axis] as number) * step;
  });
  return single(take(x, placesOf(shape, strides, begin), shape));
};

const tile: Fold = (context) => {
  if (keepsShape(context)) return same;
  const x = readHost(context.valueOf(0));
  const shape = outputShape(context);
  if (x === undefined || shape === undefined) return undefined;
  const strides = stridesOf(x.shape);
  // Each axis is viewed as [repeats, length]; the repeats have stride 0.
  const split = shape.flatMap((length, axis) => [length / Math.max(1, x.shape[axis] as number), x.shape[axis] as number]);
  return single(take(x, placesOf(split, strides.flatMap((stride) => [0, stride])), shape)); // prettier-ignore
};

const split: Fold = ({ node, outputTypes, types, valueOf }) => {
  const x = readHost(valueOf(0));
  const rank = types[0]?.shape?.length;
  if (x === undefined || rank === undefined) return undefined;
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), rank);
  const strides = stridesOf(x.shape);
  let begin = 0;
  const parts = [];
  for (const { shape } of outputTypes.slice(0, node.outputs.length)) {
    if (!isStaticShape(shape)) return undefined;
    const part = single(take(x, placesOf(shape, strides, begin * (strides[axis] as number)), shape));
    if (part === undefined || 'kind' in part) return undefined;
    parts.push(...part);
    begin += shape[axis] as number;
  }
  return parts;
};

/** Upper or lower triangle of the last two axes. */
const trilu: Fold = ({ node, valueOf }) => {
  const x = readHost(valueOf(0));
  const offset = node.inputs[1] ? readIndices(valueOf(1))?.[0] : 0;
  if (x === undefined || offset === undefined) return undefined;
  const upper = intAttribute(node, 'upper', 1) !== 0;
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const keeps = (at: number) => {
    const distance = (at % columns) - (Math.floor(at / columns) % rows);
    return upper ? distance >= offset : distance <= offset;
  };
  if (x.data instanceof BigInt64Array) return single({ ...x, data: x.data.map((value, at) => (keeps(at) ? value : 0n)) });
  return single({ ...x, data: x.data.map((value, at) => (keeps(at) ? value : 0)) });
};

/** Foldings of operators that rearrange. */
export const movementFoldings: readonly FoldEntry[] = [
  ['Identity', () => same],
  ['Reshape', reordered],
  ['Squeeze', reordered],
  ['Unsqueeze', reordered],
  ['Flatten', reordered],
  ['Expand', expand],
  ['Transpose', transpose],
  ['Gather', gather],
  ['GatherElements', gatherElements],
  ['GatherND', gatherNd],
  ['Concat', concat],
  ['Slice', slice],
  ['Tile', tile],
  ['Split', split],
  ['Trilu', trilu],
];
