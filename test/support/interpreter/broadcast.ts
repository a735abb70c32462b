import { elementCount } from '../../../src/protocol/dtypes';
import type { ReferenceTensor } from './interpreter';

/** NumPy's shape of several shapes together. */
export function broadcastShape(shapes: readonly (readonly number[])[]): readonly number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const lengths = shapes.map((shape) => shape[shape.length - rank + axis] ?? 1);
    const other = lengths.find((length) => length !== 1);
    return other ?? 1;
  });
}

/** Distance in elements between neighbours along each axis, row-major. */
export function stridesOf(shape: readonly number[]): readonly number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) strides[axis] = (strides[axis + 1] as number) * (shape[axis + 1] as number);
  return strides;
}

/** The index along each axis of the element at a flat position. */
export function indicesOf(position: number, shape: readonly number[]): readonly number[] {
  let rest = position;
  return stridesOf(shape).map((stride) => {
    const index = Math.floor(rest / stride);
    rest -= index * stride;
    return index;
  });
}

/** The flat position of an element in a tensor that is stretched to a larger shape. */
export function positionIn(shape: readonly number[], indices: readonly number[]): number {
  const strides = stridesOf(shape);
  const skip = indices.length - shape.length;
  return shape.reduce((sum, length, axis) => sum + (length === 1 ? 0 : (indices[axis + skip] as number) * (strides[axis] as number)), 0);
}

/** Applies a function place by place to tensors stretched to their common shape. */
export function mapBroadcast(
  inputs: readonly ReferenceTensor[],
  apply: (...values: number[]) => number,
  dtype = inputs[0]?.dtype,
): ReferenceTensor {
  const shape = broadcastShape(inputs.map((input) => input.shape));
  const data = new Float64Array(elementCount(shape));
  for (let position = 0; position < data.length; position += 1) {
    const indices = indicesOf(position, shape);
    data[position] = apply(...inputs.map((input) => input.data[positionIn(input.shape, indices)] as number));
  }
  return { dtype: dtype ?? 'float32', shape, data };
}
