import { dtypeOfElementType } from '../../../src/engine/graph/elementTypes';
import { floatDTypes } from '../../../src/protocol/dtypes';
import { numberOf } from './attributes';
import { mapBroadcast } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { errorFunction } from './special';

/** A kernel of one result for each place. */
export const places =
  (apply: (...values: number[]) => number): ReferenceKernel =>
  (inputs) => [mapBroadcast(inputs as readonly ReferenceTensor[], apply)];

/** The same with attributes. */
export const placesWith =
  (of: (context: ReferenceContext) => (...values: number[]) => number): ReferenceKernel =>
  (inputs, context) => [mapBroadcast(inputs as readonly ReferenceTensor[], of(context))];

/** Rounding half to even. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Floor modulus of whole numbers, or C's fmod. */
const modulus: ReferenceKernel = placesWith((context) =>
  numberOf(context, 'fmod', 0) !== 0 ? (a = 0, b = 1) => a % b : (a = 0, b = 1) => a - b * Math.floor(a / b),
);

/** Reference kernels of the element-wise operators. */
export const elementwiseKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Identity': places((x = 0) => x),
  ':Add': places((a = 0, b = 0) => a + b),
  ':Sub': places((a = 0, b = 0) => a - b),
  ':Mul': places((a = 0, b = 0) => a * b),
  ':Div': places((a = 0, b = 0) => a / b),
  ':Mod': modulus,
  ':Pow': places((a = 0, b = 0) => a ** b),
  ':Sum': places((...values) => values.reduce((sum, value) => sum + value, 0)),
  ':Mean': places((...values) => values.reduce((sum, value) => sum + value, 0) / values.length),
  ':Min': places(Math.min),
  ':Max': places(Math.max),
  ':Neg': places((x = 0) => -x),
  ':Abs': places(Math.abs),
  ':Sign': places(Math.sign),
  ':Sqrt': places(Math.sqrt),
  ':Reciprocal': places((x = 0) => 1 / x),
  ':Exp': places(Math.exp),
  ':Log': places(Math.log),
  ':Erf': places(errorFunction),
  ':Floor': places(Math.floor),
  ':Ceil': places(Math.ceil),
  ':Round': places(roundHalfEven),
  ':Sin': places(Math.sin),
  ':Cos': places(Math.cos),
  ':Tan': places(Math.tan),
  ':Asin': places(Math.asin),
  ':Acos': places(Math.acos),
  ':Atan': places(Math.atan),
  ':Sinh': places(Math.sinh),
  ':Cosh': places(Math.cosh),
  ':Tanh': places(Math.tanh),
  ':Asinh': places(Math.asinh),
  ':Acosh': places(Math.acosh),
  ':Atanh': places(Math.atanh),
  ':Clip': ([x, minimum, maximum]) => {
    const [low, high] = [minimum?.data[0] ?? -Infinity, maximum?.data[0] ?? Infinity];
    return [mapBroadcast([x as ReferenceTensor], (value = 0) => Math.min(Math.max(value, low), high))];
  },
  ':Where': ([condition, a, b]) => [
    mapBroadcast([condition, a, b] as ReferenceTensor[], (chosen = 0, left = 0, right = 0) => (chosen !== 0 ? left : right), a?.dtype),
  ],
  // Floats stay as they are: rounding to float32 here would drown the differences that gradients are compared with.
  ':Cast': ([x], context) => {
    const dtype = dtypeOfElementType(numberOf(context, 'to', 1)) ?? 'float32';
    const { shape, data } = x as ReferenceTensor;
    return [
      {
        dtype,
        shape,
        data: floatDTypes.includes(dtype) ? data : dtype === 'bool' ? data.map((v) => (v === 0 ? 0 : 1)) : data.map(Math.trunc),
      },
    ];
  },
  ':CastLike': ([x, like]) => [{ ...(x as ReferenceTensor), dtype: (like as ReferenceTensor).dtype }],
  'com.microsoft:GatedAdd': places((x = 0, y = 0, gate = 0) => x + y * gate),
};
