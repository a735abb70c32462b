import { float16ToNumber } from '../../common/halfFloat';
import type { DType } from '../../protocol/dtypes';
import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { elementTypeOf } from '../graph/elementTypes';
import { formatShape, isStaticShape } from '../graph/shapes';
import type { ConstantData } from '../graph/types';
import { integersOf } from './inference';

/** Helpers of gradient rules: constants of the right type, known shapes, and the reverse of broadcasting. */

/** A scalar constant of a float type: rules of float64 and float16 graphs need constants of their own type. */
export function floatScalar(build: GraphBuilder, value: number, dtype: DType): Value {
  const single = build.float32(value);
  if (dtype === 'float32') return single;
  if (dtype === 'float64')
    return build.constant({ kind: 'inline', dtype, shape: [], bytes: new Uint8Array(Float64Array.from([value]).buffer) });
  return castTo(build, single, dtype);
}

/** A value cast to another element type; the value itself if it already has that type. */
export function castTo(build: GraphBuilder, value: Value, dtype: DType): Value {
  return value.type.dtype === dtype ? value : build.op('Cast', [value], { to: int(elementTypeOf(dtype) ?? 1) });
}

/** The number in an inline constant with one element; undefined for other constants. */
export function scalarOf(data: ConstantData | undefined): number | undefined {
  if (data?.kind !== 'inline' || elementCount(data.shape) !== 1) return undefined;
  const view = new DataView(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength);
  if (data.dtype === 'float32') return view.getFloat32(0, true);
  if (data.dtype === 'float64') return view.getFloat64(0, true);
  if (data.dtype === 'float16') return float16ToNumber(view.getUint16(0, true));
  return integersOf(data)?.[0];
}

/** A constant tensor of a float type. */
export function floatTensor(build: GraphBuilder, values: readonly number[], shape: readonly number[], dtype: DType): Value {
  if (dtype === 'float64') return build.constant({ kind: 'inline', dtype, shape, bytes: new Uint8Array(Float64Array.from(values).buffer) });
  return castTo(build, build.float32(values, shape), dtype);
}

/** A tensor filled with one value. */
export function filled(build: GraphBuilder, value: number, shape: readonly number[], dtype: DType): Value {
  const scalar = floatScalar(build, value, dtype);
  return shape.length === 0 ? scalar : build.op('Expand', [scalar, build.int64(shape)]);
}

/** The known shape of a value. Errors: `unsupported` if a length is unknown. */
export function staticShape(value: Value): readonly number[] {
  const { shape } = value.type;
  if (shape === undefined || shape.some((length) => typeof length !== 'number'))
    throw new LoomweightError(
      'unsupported',
      `the shape ${formatShape(shape)} of '${value.name}' is not fixed. Give the graph fixed input shapes first.`,
      { value: value.name },
    );
  return shape as readonly number[];
}

/**
 * The reverse of broadcasting: sums `gradient` over the axes along which `like` was expanded, so that it has the shape of `like`. Needs
 * known shapes of both.
 */
export function sumToShapeOf(build: GraphBuilder, gradient: Value, like: Value): Value {
  const from = staticShape(gradient);
  const to = staticShape(like);
  if (from.length === to.length && from.every((length, axis) => length === to[axis])) return gradient;
  const added = from.length - to.length;
  const axes = from.map((_, axis) => axis).filter((axis) => axis < added || (to[axis - added] === 1 && from[axis] !== 1));
  const summed = axes.length === 0 ? gradient : build.op('ReduceSum', [gradient, build.int64(axes)], { keepdims: int(added > 0 ? 0 : 1) });
  return reshaped(build, summed, to);
}

/** A value with its axes in another order. */
export function transposed(build: GraphBuilder, value: Value, order: readonly number[]): Value {
  return order.every((axis, index) => axis === index) ? value : build.op('Transpose', [value], { perm: ints(order) });
}

/** A value in another shape of the same number of elements. */
export function reshaped(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const { shape: present } = value.type;
  if (isStaticShape(present) && present.length === shape.length && present.every((length, axis) => length === shape[axis])) return value;
  return build.op('Reshape', [value, build.int64(shape)], shape.includes(0) ? { allowzero: int(1) } : {});
}
