import { axisOf, numberOf } from './attributes';
import { indicesOf, positionIn } from './broadcast';
import { roundHalfEven } from './elementwise';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';

/** For each value the place of its scale: one for all, one for each place of an axis, or one for each block on it. */
function scalePlaces(x: ReferenceTensor, scale: ReferenceTensor, context: ReferenceContext): (position: number) => number {
  if (scale.data.length === 1) return () => 0;
  const axis = axisOf(numberOf(context, 'axis', 1), x.shape.length);
  const block = numberOf(context, 'block_size', 0);
  return (position) => {
    const indices = indicesOf(position, x.shape);
    if (block === 0) return indices[axis] as number;
    return positionIn(
      scale.shape,
      indices.map((index, at) => (at === axis ? Math.floor(index / block) : index)),
    );
  };
}

const dequantize: ReferenceKernel = ([codes, scales, zeroPoints], context) => {
  const [x, scale] = [codes as ReferenceTensor, scales as ReferenceTensor];
  const place = scalePlaces(x, scale, context);
  const data = x.data.map((code, at) => (code - (zeroPoints?.data[place(at)] ?? 0)) * (scale.data[place(at)] as number));
  return [{ dtype: scale.dtype, shape: x.shape, data }];
};

/** uint8 codes, or int8 where the zero point is. */
const quantize: ReferenceKernel = ([values, scales, zeroPoints], context) => {
  const [x, scale] = [values as ReferenceTensor, scales as ReferenceTensor];
  const place = scalePlaces(x, scale, context);
  const dtype = zeroPoints?.dtype ?? 'uint8';
  const [low, high] = dtype === 'int8' ? [-128, 127] : [0, 255];
  const data = x.data.map((value, at) => {
    const code = roundHalfEven(value / (scale.data[place(at)] as number)) + (zeroPoints?.data[place(at)] ?? 0);
    return Math.min(high, Math.max(low, code));
  });
  return [{ dtype, shape: x.shape, data }];
};

/** Reference kernels of quantisation. */
export const quantizationKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':DequantizeLinear': dequantize,
  'com.microsoft:DequantizeLinear': dequantize,
  ':QuantizeLinear': quantize,
  'com.microsoft:QuantizeLinear': quantize,
};
