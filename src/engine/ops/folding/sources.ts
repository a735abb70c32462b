import { elementCount, type DType } from '../../../protocol/dtypes';
import type { Fold } from '../../graph/passes/folding';
import { isStaticShape } from '../../graph/shapes';
import { intAttribute } from '../inference';
import { castTo } from './arithmetic';
import { single, type FoldEntry } from './foldEntry';
import { readHost, type HostTensor } from './hostTensor';

/** Constants, lengths and ranges; and nodes that do nothing, or only choose between two values. */

const vector = (values: readonly number[]): HostTensor => ({
  dtype: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

const constant: Fold = ({ node }) => {
  const { value, value_float: float, value_int: int, value_floats: floats, value_ints: ints } = node.attributes;
  const single32 = (numbers: readonly number[], shape: readonly number[]) =>
    single({ dtype: 'float32', shape, data: Float64Array.from(numbers) });
  if (value?.kind === 'tensor' && value.value.dtype !== 'string') return [value.value];
  if (float?.kind === 'float') return single32([float.value], []);
  if (floats?.kind === 'floats') return single32(floats.value, [floats.value.length]);
  if (int?.kind === 'int') return single({ ...vector([int.value]), shape: [] });
  return ints?.kind === 'ints' ? single(vector(ints.value)) : undefined;
};

const shape: Fold = ({ node, types, outputTypes }) => {
  const lengths = types[0]?.shape;
  const count = outputTypes[0]?.shape?.[0];
  if (lengths === undefined || typeof count !== 'number') return undefined;
  const start = intAttribute(node, 'start', 0);
  const begin = Math.min(Math.max(start < 0 ? start + lengths.length : start, 0), lengths.length);
  const part = lengths.slice(begin, begin + count);
  return isStaticShape(part) ? single(vector(part)) : undefined;
};

const size: Fold = ({ types }) => {
  const lengths = types[0]?.shape;
  return isStaticShape(lengths) ? single({ ...vector([elementCount(lengths)]), shape: [] }) : undefined;
};

const range: Fold = ({ valueOf }) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => readHost(valueOf(index)));
  if (start === undefined || limit === undefined || delta === undefined) return undefined;
  const [from, to, by] = [start, limit, delta].map(({ data }) => Number(data[0])) as [number, number, number];
  const count = Math.max(0, Math.ceil((to - from) / by));
  // Longer ranges would exceed the limit on folded sizes anyway; NaN results from a step of 0.
  if (!(count <= 4 * 1024 * 1024)) return undefined;
  const values: HostTensor = { dtype: 'float64', shape: [count], data: Float64Array.from({ length: count }, (_, at) => from + at * by) };
  return single(castTo(values, start.dtype));
};

const constantOfShape: Fold = ({ node, outputTypes, valueOf }) => {
  const lengths = outputTypes[0]?.shape;
  const given = node.attributes['value'];
  const value = given?.kind === 'tensor' ? readHost(given.value) : ({ dtype: 'float32', shape: [1], data: Float64Array.of(0) } as const);
  if (valueOf(0) === undefined || value === undefined || !isStaticShape(lengths)) return undefined;
  const count = elementCount(lengths);
  const data =
    value.data instanceof BigInt64Array
      ? new BigInt64Array(count).fill(value.data[0] as bigint)
      : new Float64Array(count).fill(value.data[0] as number);
  return single({ dtype: value.dtype, shape: lengths, data });
};

/** Without training_mode and without a requested mask, Dropout does nothing. */
const dropout: Fold = ({ node, valueOf }) => {
  const training = node.inputs[2] ? readHost(valueOf(2))?.data[0] : 0;
  return training === 0 && !node.outputs[1] ? [{ kind: 'same', input: 0 }] : undefined;
};

const branch: Fold = ({ node, valueOf }) => {
  const condition = readHost(valueOf(0))?.data[0];
  const body = node.attributes[condition === 0 ? 'else_branch' : 'then_branch'];
  return condition !== undefined && body?.kind === 'graph' ? { kind: 'body', body: body.value } : undefined;
};

/** Ones on a diagonal. */
const eyeLike: Fold = ({ node, outputTypes }) => {
  const type = outputTypes[0];
  if (type === undefined || !isStaticShape(type.shape)) return undefined;
  const columns = type.shape[1] as number;
  const offset = intAttribute(node, 'k', 0);
  const data = Float64Array.from({ length: elementCount(type.shape) }, (_, at) =>
    (at % columns) - Math.floor(at / columns) === offset ? 1 : 0,
  );
  return single(castTo({ dtype: 'float64', shape: type.shape, data }, type.dtype satisfies DType));
};

/** Running sum along an axis, with which exporters count positions in a mask. */
const cumulativeSum: Fold = ({ node, valueOf }) => {
  const x = readHost(valueOf(0));
  const axisValue = readHost(valueOf(1))?.data[0];
  if (x === undefined || axisValue === undefined || intAttribute(node, 'exclusive', 0) !== 0 || intAttribute(node, 'reverse', 0) !== 0)
    return undefined;
  const axis = Number(axisValue) < 0 ? Number(axisValue) + x.shape.length : Number(axisValue);
  const step = elementCount(x.shape.slice(axis + 1));
  const first = (at: number) => Math.floor(at / step) % (x.shape[axis] as number) === 0;
  if (x.data instanceof BigInt64Array) {
    const data = x.data.slice();
    data.forEach((value, at) => void (first(at) || (data[at] = value + (data[at - step] as bigint))));
    return single({ ...x, data });
  }
  const data = x.data.slice();
  data.forEach((value, at) => void (first(at) || (data[at] = Math.fround(value + (data[at - step] as number)))));
  return single({ ...x, data });
};

/** Foldings of sources and of nodes that choose. */
export const sourceFoldings: readonly FoldEntry[] = [
  ['Constant', constant],
  ['Shape', shape],
  ['Size', size],
  ['Range', range],
  ['ConstantOfShape', constantOfShape],
  ['EyeLike', eyeLike],
  ['CumSum', cumulativeSum],
  ['Dropout', dropout],
  ['If', branch],
];
