import { elementCount } from '../../../src/protocol/dtypes';
import type { ReferenceKernel, ReferenceTensor } from './interpreter';

/** Reference kernels of operators that only rearrange. */
export const shapeKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Reshape': ([x, target], { attributes }) => {
    const { dtype, shape, data } = x as ReferenceTensor;
    const allowZero = attributes['allowzero']?.kind === 'int' && attributes['allowzero'].value !== 0;
    const wanted = Array.from((target as ReferenceTensor).data, (length, axis) =>
      length === 0 && !allowZero ? (shape[axis] as number) : length,
    );
    const known = elementCount(wanted.filter((length) => length !== -1));
    return [{ dtype, shape: wanted.map((length) => (length === -1 ? data.length / known : length)), data }];
  },
};
