import type { DType } from '../../../src/protocol/dtypes';
import { elementCount } from '../../../src/protocol/dtypes';
import { indicesOf, positionIn } from './broadcast';
import type { ReferenceTensor } from './interpreter';

/** A tensor made place by place. */
export function tensorOf(dtype: DType, shape: readonly number[], valueAt: (indices: readonly number[]) => number): ReferenceTensor {
  return { dtype, shape, data: Float64Array.from({ length: elementCount(shape) }, (_, position) => valueAt(indicesOf(position, shape))) };
}

/** The value at a place, or 0 outside. */
export function valueAt({ shape, data }: ReferenceTensor, indices: readonly number[]): number {
  if (indices.some((index, axis) => index < 0 || index >= (shape[axis] as number))) return 0;
  return data[positionIn(shape, indices)] as number;
}

/** Every combination of indices of a shape, row-major. */
export const placesOf = (shape: readonly number[]): readonly (readonly number[])[] =>
  Array.from({ length: elementCount(shape) }, (_, position) => indicesOf(position, shape));

/** Indices with the one of an axis changed. */
export const withAxis = (indices: readonly number[], axis: number, value: number): readonly number[] =>
  indices.map((index, at) => (at === axis ? value : index));
