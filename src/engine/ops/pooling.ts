import type { GradientRule } from '../graph/gradient';
import { addDimensions } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { constantInts, intsAttribute, invalid, unknownLength } from './inference';
import {
  averagePoolGradient,
  globalAveragePoolGradient,
  globalLpPoolGradient,
  globalMaxPoolGradient,
  lpPoolGradient,
  maxPoolGradient,
  maxUnpoolGradient,
} from './poolingGradients';
import { slidSpace } from './windows';

/** Pools over [batch, channels, ...space]. */

const pool = (name: string, gradient: GradientRule) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      const kernel = intsAttribute(context, 'kernel_shape');
      if (kernel === undefined) throw invalid(`${name} needs the attribute kernel_shape.`);
      const shape = x.shape && [...x.shape.slice(0, 2), ...slidSpace(x.shape.slice(2), kernel, context)];
      // MaxPool's second output: flat indices of the maxima.
      return [
        { dtype: x.dtype, shape },
        { dtype: 'int64', shape },
      ];
    },
    gradient,
  });

const globalPool = (name: string, gradient: GradientRule) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x]) => [{ dtype: x.dtype, shape: x.shape?.map((length, axis) => (axis < 2 ? length : 1)) }],
    gradient,
  });

/** Inverse of MaxPool: writes values to the indices of its second output. */
const maxUnpool = defineOp({
  name: 'MaxUnpool',
  inputs: 2,
  maxInputs: 3,
  infer: ([x, , sizes], context) => {
    if (sizes !== undefined)
      return [{ dtype: x.dtype, shape: constantInts(context, 2) ?? x.shape?.map((_, axis) => unknownLength(context, axis)) }];
    const kernel = intsAttribute(context, 'kernel_shape') ?? [];
    const shape = x.shape?.map((length, axis): Dimension => {
      const size = kernel[axis - 2];
      if (axis < 2 || size === undefined) return length;
      if (typeof length === 'string') return unknownLength(context, axis);
      const stride = intsAttribute(context, 'strides')?.[axis - 2] ?? 1;
      const pads = intsAttribute(context, 'pads');
      return addDimensions((length - 1) * stride + size, -(pads?.[axis - 2] ?? 0) - (pads?.[axis - 2 + kernel.length] ?? 0));
    });
    return [{ dtype: x.dtype, shape }];
  },
  gradient: maxUnpoolGradient,
});

/** The operators of this file. */
export const poolingOperators = [
  pool('MaxPool', maxPoolGradient),
  pool('AveragePool', averagePoolGradient),
  pool('LpPool', lpPoolGradient),
  globalPool('GlobalMaxPool', globalMaxPoolGradient),
  globalPool('GlobalAveragePool', globalAveragePoolGradient),
  globalPool('GlobalLpPool', globalLpPoolGradient),
  maxUnpool,
];
