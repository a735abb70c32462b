import { elementCount } from '../../../src/protocol/dtypes';
import { indicesOf, positionIn } from './broadcast';
import type { ReferenceTensor } from './interpreter';

/** Folds the given axes (kept as 1): `fold` sees the values of each fold in row-major order. */
export function foldAxes(x: ReferenceTensor, axes: readonly number[], fold: (values: readonly number[]) => number): ReferenceTensor {
  const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const groups: number[][] = Array.from({ length: elementCount(shape) }, () => []);
  x.data.forEach((value, position) => groups[positionIn(shape, indicesOf(position, x.shape))]?.push(value));
  return { dtype: x.dtype, shape, data: Float64Array.from(groups, fold) };
}

/** Rewrites each line along an axis; `apply` gives a line of any one length. */
export function mapLines(x: ReferenceTensor, axis: number, apply: (line: readonly number[]) => readonly number[]): ReferenceTensor {
  const outer = elementCount(x.shape.slice(0, axis));
  const length = x.shape[axis] as number;
  const inner = elementCount(x.shape.slice(axis + 1));
  const lines: (readonly number[])[] = [];
  for (let i = 0; i < outer; i += 1)
    for (let j = 0; j < inner; j += 1)
      lines.push(apply(Array.from({ length }, (_, place) => x.data[(i * length + place) * inner + j] as number)));
  const made = lines[0]?.length ?? length;
  const shape = x.shape.map((old, index) => (index === axis ? made : old));
  const data = new Float64Array(outer * made * inner);
  lines.forEach((line, index) => {
    const [i, j] = [Math.floor(index / inner), index % inner];
    line.forEach((value, place) => {
      data[(i * made + place) * inner + j] = value;
    });
  });
  return { dtype: x.dtype, shape, data };
}
