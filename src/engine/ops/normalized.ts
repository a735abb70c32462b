import type { GraphBuilder } from '../graph/builder';
import { float, int } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from './formula';
import { filled, staticShape } from './gradients';

/** Shared parts of the gradients of normalisations: the normalised value and the gradient through it. */

/** (x - mean) / deviation, or x / deviation without centring, and 1 / deviation. */
export interface Normalized {
  readonly value: Value;
  readonly inverse: Value;
}

/** Settings of a normalisation: its axes, the epsilon added to the variance, and whether the mean is subtracted first. */
export interface Normalization {
  readonly axes: readonly number[];
  readonly epsilon: number;
  readonly centred: boolean;
}

/** Normalises again: nodes only keep the scaled result, which a scale of 0 makes irreversible. */
export function normalized(build: GraphBuilder, x: Value, { axes, epsilon, centred }: Normalization): Normalized {
  const shape = staticShape(x);
  const first = shape.length - axes.length;
  if (x.type.dtype === 'float32' && axes.length > 0 && axes.every((axis, index) => axis === first + index)) {
    // One fused pass; for other types the statistics would be float32.
    const ones = filled(build, 1, shape.slice(first), 'float32');
    const attributes = { axis: int(first), epsilon: float(epsilon) };
    if (!centred) {
      const [value, inverse] = build.node('SimplifiedLayerNormalization', [x, ones], attributes, { outputs: 2 }) as [Value, Value];
      return { value, inverse };
    }
    const [value, , inverse] = build.node('LayerNormalization', [x, ones], attributes, { outputs: 3 }) as [Value, Value, Value];
    return { value, inverse };
  }
  const { add, sub, mul, div, op } = formula(build, x.type.dtype);
  const mean = (value: Value): Value => build.op('ReduceMean', [value, build.int64(axes)], { keepdims: int(1) });
  const centre = centred ? sub(x, mean(x)) : x;
  const inverse = div(1, op('Sqrt', add(mean(mul(centre, centre)), epsilon)));
  return { value: mul(centre, inverse), inverse };
}

/**
 * dx for n = normalized(x): inverse (dn - mean(dn) - n mean(dn n)), with means over the reduced axes. Without centring the first mean is
 * omitted; `inverse` may be any factor that broadcasts to x.
 */
export function normalizedGradient(
  build: GraphBuilder,
  { value, inverse }: Normalized,
  gradient: Value,
  { axes, centred }: Pick<Normalization, 'axes' | 'centred'>,
): Value {
  const { sub, mul } = formula(build, value.type.dtype);
  const mean = (parts: Value): Value => build.op('ReduceMean', [parts, build.int64(axes)], { keepdims: int(1) });
  const along = mul(value, mean(mul(gradient, value)));
  return mul(sub(centred ? sub(gradient, mean(gradient)) : gradient, along), inverse);
}
