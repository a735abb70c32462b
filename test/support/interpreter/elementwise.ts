import { mapBroadcast } from './broadcast';
import type { ReferenceKernel, ReferenceTensor } from './interpreter';

/** A kernel of one result for each place. */
const places =
  (apply: (...values: number[]) => number): ReferenceKernel =>
  (inputs) => [mapBroadcast(inputs as readonly ReferenceTensor[], apply)];

/** Reference kernels of the element-wise operators. */
export const elementwiseKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Identity': places((x = 0) => x),
  ':Add': places((a = 0, b = 0) => a + b),
  ':Mul': places((a = 0, b = 0) => a * b),
};
