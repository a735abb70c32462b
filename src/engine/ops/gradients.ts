import type { DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import { int, ints } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formatShape } from '../graph/shapes';

/** What gradient rules have in common: constants of the right type, known shapes, and the reverse of broadcasting. */

/** A constant scalar of a float type: rules of float64 and float16 graphs need constants of their own type. */
export function floatScalar(build: GraphBuilder, value: number, dtype: DType): Value {
  const single = build.float32(value);
  if (dtype === 'float32') return single;
  if (dtype === 'float64')
    return build.constant({ kind: 'inline', dtype, shape: [], bytes: new Uint8Array(Float64Array.from([value]).buffer) });
  return build.op('Cast', [single], { to: int(onnxTypeCodes[dtype] ?? 1) });
}

const onnxTypeCodes: Readonly<Partial<Record<DType, number>>> = { float16: 10, float64: 11, bfloat16: 16 };

/** The known lengths of a value. Errors: `unsupported` where one is not known. */
export function staticShape(value: Value): readonly number[] {
  const { shape } = value.type;
  if (shape === undefined || shape.some((length) => typeof length !== 'number'))
    throw new LoomweightError(
      'unsupported',
      `the shape ${formatShape(shape)} of '${value.name}' is not known. Give the graph fixed input shapes first.`,
      { value: value.name },
    );
  return shape as readonly number[];
}

/**
 * The reverse of broadcasting: sums `gradient` over the axes that `like` was stretched along, so that it has the shape of `like`.
 * Needs known shapes of both.
 */
export function sumToShapeOf(build: GraphBuilder, gradient: Value, like: Value): Value {
  const from = staticShape(gradient);
  const to = staticShape(like);
  if (from.length === to.length && from.every((length, axis) => length === to[axis])) return gradient;
  const added = from.length - to.length;
  const axes = from.map((_, axis) => axis).filter((axis) => axis < added || (to[axis - added] === 1 && from[axis] !== 1));
  const summed = axes.length === 0 ? gradient : build.op('ReduceSum', [gradient, build.int64(axes)], { keepdims: int(added > 0 ? 0 : 1) });
  return added > 0 ? build.op('Reshape', [summed, build.int64(to)]) : summed;
}

/** A value with its axes in another order. */
export function transposed(build: GraphBuilder, value: Value, order: readonly number[]): Value {
  return order.every((axis, index) => axis === index) ? value : build.op('Transpose', [value], { perm: ints(order) });
}

/** A value in another shape of the same number of elements. */
export function reshaped(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  return build.op('Reshape', [value, build.int64(shape)], { allowzero: int(shape.includes(0) ? 1 : 0) });
}
