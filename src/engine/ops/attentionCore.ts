import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { floatScalar, floatTensor, reshaped, staticShape, sumToShapeOf, transposed } from './gradients';

/** The gradient of softmax(scale q k' + mask) v, shared by all attention operators. The probabilities are recomputed. */

/** One attention: q [batch, heads, time, size], k and v [batch, key heads, keys, size]; query heads are a multiple of key heads. */
export interface AttentionParts {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** Added to the scores; broadcasts to [batch, heads, time, keys]. */
  readonly masks: readonly Value[];
  readonly scale: number;
}

/** Gradients of the inputs. */
export interface AttentionGradients {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** Gradient of the scores, [batch, heads, time, keys]; the gradients of masks are reductions of it. */
  readonly scores: Value;
}

/**
 * Gradients of one attention, given that of its result [batch, heads, time, value size]. Query heads that share a key head are treated as
 * one longer query, so that nothing is repeated.
 */
export function attentionGradients(build: GraphBuilder, { q, k, v, masks, scale }: AttentionParts, dy: Value): AttentionGradients {
  const [batch, heads, time, size] = staticShape(q) as readonly [number, number, number, number];
  const [, keyHeads, keys] = staticShape(k) as readonly [number, number, number];
  const rows = (heads / keyHeads) * time;
  const folded = (value: Value, width: number): Value => reshaped(build, value, [batch, keyHeads, rows, width]);
  const turned = (value: Value): Value => transposed(build, value, [0, 1, 3, 2]);
  const times = (a: Value, b: Value): Value => build.op('MatMul', [a, b]);
  const factor = floatScalar(build, scale, q.type.dtype);

  const scaled = build.op('Mul', [folded(q, size), factor]);
  const raw = reshaped(build, times(scaled, turned(k)), [batch, heads, time, keys]);
  const scores = masks.reduce((sum, mask) => build.op('Add', [sum, mask]), raw);
  const probabilities = build.op('Softmax', [scores], { axis: int(-1) });

  const wide = folded(probabilities, keys);
  const dyWide = folded(dy, staticShape(v)[3] as number);
  const slope = build.op('Mul', [times(dyWide, turned(v)), wide]);
  const sums = build.op('ReduceSum', [slope, build.int64([-1])]);
  const dScores = build.op('Sub', [slope, build.op('Mul', [wide, sums])]);
  return {
    q: reshaped(build, build.op('Mul', [times(dScores, k), factor]), [batch, heads, time, size]),
    k: times(turned(dScores), scaled),
    v: times(turned(wide), dyWide),
    scores: reshaped(build, dScores, [batch, heads, time, keys]),
  };
}

/** Added to scores for causal masking: query i sees the keys up to i + `past`. */
export function causalMask(build: GraphBuilder, like: Value, time: number, keys: number, past: number): Value {
  const values = Array.from({ length: time * keys }, (_, at) => (at % keys <= Math.floor(at / keys) + past ? 0 : -1e30));
  return like.type.dtype === 'float16'
    ? floatTensor(
        build,
        values.map((value) => Math.max(value, -65504)),
        [time, keys],
        like.type.dtype,
      )
    : floatTensor(build, values, [time, keys], like.type.dtype);
}

/** Added to scores for a mask: booleans (or numbers other than 0) tell whether a key is visible. */
export function maskWhere(build: GraphBuilder, seen: Value, like: Value): Value {
  const truth = seen.type.dtype === 'bool' ? seen : build.op('Cast', [seen], { to: int(9) });
  const dtype = like.type.dtype;
  return build.op('Where', [truth, floatScalar(build, 0, dtype), floatScalar(build, dtype === 'float16' ? -65504 : -1e30, dtype)]);
}

/** The gradient of a mask that was added to the scores. */
export const maskGradient = (build: GraphBuilder, gradients: AttentionGradients, mask: Value): Value =>
  sumToShapeOf(build, gradients.scores, mask);

/** [batch, time, heads * size] as [batch, heads, time, size]. */
export function toHeads(build: GraphBuilder, value: Value, heads: number): Value {
  const [batch, time, width] = staticShape(value) as readonly [number, number, number];
  return transposed(build, reshaped(build, value, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, time, size] as [batch, time, heads * size]. */
export function fromHeads(build: GraphBuilder, value: Value): Value {
  const [batch, heads, time, size] = staticShape(value) as readonly [number, number, number, number];
  return reshaped(build, transposed(build, value, [0, 2, 1, 3]), [batch, time, heads * size]);
}
