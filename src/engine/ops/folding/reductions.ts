import { elementCount, floatDTypes } from '../../../protocol/dtypes';
import type { Fold } from '../../graph/passes/folding';
import { isStaticShape } from '../../graph/shapes';
import { intAttribute, intsAttribute, normalizeAxis } from '../inference';
import { single, type FoldEntry } from './foldEntry';
import { placesOf, readHost, readIndices, stridesOf, writeHost } from './hostTensor';

/** Sums, products and extremes of known values. Integers are exact; floats are added in float64 and rounded once. */

interface Reduction {
  real(a: number, b: number): number;
  whole(a: bigint, b: bigint): bigint;
  readonly mean?: true;
}

const reduce =
  ({ real, whole, mean }: Reduction): Fold =>
  ({ node, types, outputTypes, valueOf }) => {
    const x = readHost(valueOf(0));
    const shape = outputTypes[0]?.shape;
    const from = types[0]?.shape;
    if (x === undefined || !isStaticShape(shape) || !isStaticShape(from) || elementCount(from) === 0) return undefined;
    const named = intsAttribute(node, 'axes') ?? (node.inputs[1] ? readIndices(valueOf(1)) : []);
    if (named === undefined) return undefined;
    if (named.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) !== 0) return [{ kind: 'same', input: 0 }];
    const axes = named.length === 0 ? from.map((_, axis) => axis) : named.map((axis) => normalizeAxis(axis, from.length));
    const strides = stridesOf(from);
    const kept = from.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const along = (chosen: readonly number[]) =>
      placesOf(
        chosen.map((axis) => from[axis] as number),
        chosen.map((axis) => strides[axis] as number),
      );
    const starts = along(kept);
    const offsets = along(axes);
    if (x.data instanceof BigInt64Array) {
      const source = x.data;
      const data = BigInt64Array.from(starts, (start) => {
        const total = [...offsets].map((offset) => source[start + offset] as bigint).reduce(whole);
        return mean === true ? total / BigInt(offsets.length) : total;
      });
      return single({ dtype: x.dtype, shape, data });
    }
    const source = x.data;
    const data = Float64Array.from(starts, (start) => {
      const total = [...offsets].map((offset) => source[start + offset] as number).reduce(real);
      return mean === true ? total / offsets.length : total;
    });
    const result = { dtype: x.dtype, shape, data };
    // A sum of small integers that exceeds its type would wrap around: leave it to the runtime.
    const stored = readHost(writeHost(result));
    if (!floatDTypes.includes(x.dtype) && !data.every((value, at) => value === stored?.data[at])) return undefined;
    return single(result);
  };

/** Foldings of reductions. */
export const reductionFoldings: readonly FoldEntry[] = [
  ['ReduceSum', reduce({ real: (a, b) => a + b, whole: (a, b) => a + b })],
  ['ReduceMean', reduce({ real: (a, b) => a + b, whole: (a, b) => a + b, mean: true })],
  ['ReduceProd', reduce({ real: (a, b) => a * b, whole: (a, b) => a * b })],
  ['ReduceMax', reduce({ real: (a, b) => Math.max(a, b), whole: (a, b) => (a > b ? a : b) })],
  ['ReduceMin', reduce({ real: (a, b) => Math.min(a, b), whole: (a, b) => (a < b ? a : b) })],
];
