import { axisOf, numberOf } from './attributes';
import type { ReferenceKernel, ReferenceTensor } from './interpreter';
import { tensorOf, valueAt } from './tensors';

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
};
