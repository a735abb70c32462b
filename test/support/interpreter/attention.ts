import { numberOf } from './attributes';
import { positionIn } from './broadcast';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { matMul } from './products';
import { tensorOf, valueAt, withAxis } from './tensors';

/** [batch, time, heads * size] seen as [batch, heads, time, size]; tensors of rank 4 as they are. */
function headed(x: ReferenceTensor, heads: number): ReferenceTensor {
  if (x.shape.length === 4) return x;
  const [batch, time, width] = x.shape as readonly [number, number, number];
  const size = width / heads;
  return tensorOf(x.dtype, [batch, heads, time, size], ([b = 0, head = 0, t = 0, i = 0]) => valueAt(x, [b, t, head * size + i]));
}

/** The other way. */
function joined(x: ReferenceTensor): ReferenceTensor {
  const [batch, heads, time, size] = x.shape as readonly [number, number, number, number];
  return tensorOf(x.dtype, [batch, time, heads * size], ([b = 0, t = 0, i = 0]) => valueAt(x, [b, Math.floor(i / size), t, i % size]));
}

/** A cache with new places behind it. */
function grown(past: ReferenceTensor | undefined, added: ReferenceTensor): ReferenceTensor {
  if (!past) return added;
  const before = past.shape[2] as number;
  const shape = [...added.shape.slice(0, 2), before + (added.shape[2] as number), added.shape[3] as number];
  return tensorOf(added.dtype, shape, (place) =>
    (place[2] as number) < before ? valueAt(past, place) : valueAt(added, withAxis(place, 2, (place[2] as number) - before)),
  );
}

/** Attention of one query after the other: `mask` is added to the score of a query and a key. */
function attend(
  q: ReferenceTensor,
  k: ReferenceTensor,
  v: ReferenceTensor,
  scale: number,
  mask: (batch: number, head: number, query: number, key: number) => number,
): ReferenceTensor {
  const [batch, heads, time, size] = q.shape as readonly [number, number, number, number];
  const [, keyHeads, keys] = k.shape as readonly [number, number, number];
  const places = Array.from({ length: keys }, (_, key) => key);
  const rows = new Map<string, readonly number[]>();
  return tensorOf(q.dtype, [batch, heads, time, v.shape[3] as number], ([b = 0, head = 0, t = 0, i = 0]) => {
    const shared = Math.floor(head / (heads / keyHeads));
    const row = `${b} ${head} ${t}`;
    if (!rows.has(row)) {
      const scores = places.map((key) => {
        let score = 0;
        for (let at = 0; at < size; at += 1) score += valueAt(q, [b, head, t, at]) * valueAt(k, [b, shared, key, at]);
        return score * scale + mask(b, head, t, key);
      });
      const weights = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      rows.set(
        row,
        weights.map((weight) => weight / sum),
      );
    }
    return places.reduce((total, key) => total + (rows.get(row)?.[key] as number) * valueAt(v, [b, shared, key, i]), 0);
  });
}

const scaleOf = (context: ReferenceContext, size: number): number => numberOf(context, 'scale', 0) || 1 / Math.sqrt(size);

/** Turns pairs of values by the angle of their position; values behind the turned ones stay. */
function rotate(
  input: ReferenceTensor,
  cosine: ReferenceTensor,
  sine: ReferenceTensor,
  positions: ReferenceTensor | undefined,
  context: ReferenceContext,
): ReferenceTensor {
  const x = headed(input, numberOf(context, 'num_heads', 1) || 1);
  const half = cosine.shape.at(-1) as number;
  const interleaved = numberOf(context, 'interleaved', numberOf(context, 'rotary_interleaved', 0)) !== 0;
  const result = tensorOf(x.dtype, x.shape, (place) => {
    const [b = 0, , t = 0, i = 0] = place;
    if (i >= 2 * half) return valueAt(x, place);
    const pair = interleaved ? Math.floor(i / 2) : i % half;
    const isFirst = interleaved ? i % 2 === 0 : i < half;
    const other = interleaved ? i + (isFirst ? 1 : -1) : i + (isFirst ? half : -half);
    // Positions of every row, or (one number) where the sequence starts.
    const position = positions ? (positions.data.length === 1 ? valueAt(positions, [0]) + t : valueAt(positions, [b, t])) : undefined;
    const at = position === undefined ? [b, t, pair] : [position, pair];
    const [cos, sin] = [valueAt(cosine, at), valueAt(sine, at)];
    const turned = valueAt(x, withAxis(place, 3, other)) * sin;
    return valueAt(x, place) * cos + (isFirst ? -turned : turned);
  });
  return input.shape.length === 3 ? joined(result) : result;
}

const broadcastAt = (mask: ReferenceTensor, place: readonly number[]): number => mask.data[positionIn(mask.shape, place)] as number;

/** What a mask of ONNX Runtime's operators adds: [batch, keys] or [batch, time, keys], 0 hides. */
const hidden = (mask: ReferenceTensor | undefined, b: number, t: number, key: number): number =>
  mask === undefined || valueAt(mask, mask.shape.length === 2 ? [b, key] : [b, t, key]) !== 0 ? 0 : -1e30;

/** Columns of the last axis. */
function columns(x: ReferenceTensor, start: number, count: number): ReferenceTensor {
  const last = x.shape.length - 1;
  return tensorOf(x.dtype, [...x.shape.slice(0, -1), count], (place) => valueAt(x, withAxis(place, last, start + (place[last] as number))));
}

function plus(x: ReferenceTensor, bias: ReferenceTensor | undefined, start: number): ReferenceTensor {
  return bias ? tensorOf(x.dtype, x.shape, (place) => valueAt(x, place) + (bias.data[start + (place.at(-1) as number)] as number)) : x;
}

/** Reference kernels of attention. */
export const attentionKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':RotaryEmbedding': ([x, cosine, sine, positions], context) => [
    rotate(x as ReferenceTensor, cosine as ReferenceTensor, sine as ReferenceTensor, positions, context),
  ],
  'com.microsoft:RotaryEmbedding': ([x, positions, cosine, sine], context) => [
    rotate(x as ReferenceTensor, cosine as ReferenceTensor, sine as ReferenceTensor, positions, context),
  ],
  ':Attention': ([q, k, v, mask, pastKey, pastValue], context) => {
    const flat = (q as ReferenceTensor).shape.length === 3;
    const query = headed(q as ReferenceTensor, numberOf(context, 'q_num_heads', 1));
    const keyHeads = numberOf(context, 'kv_num_heads', 1);
    const [keys, values] = [
      grown(pastKey, headed(k as ReferenceTensor, keyHeads)),
      grown(pastValue, headed(v as ReferenceTensor, keyHeads)),
    ];
    const causal = numberOf(context, 'is_causal', 0) !== 0;
    const past = pastKey?.shape[2] ?? 0;
    const y = attend(query, keys, values, scaleOf(context, query.shape[3] as number), (b, head, t, key) => {
      if (causal && key > t + past) return -1e30;
      if (!mask) return 0;
      const value = broadcastAt(mask, [b, head, t, key]);
      return mask.dtype === 'bool' ? (value === 0 ? -1e30 : 0) : value;
    });
    return [flat ? joined(y) : y, keys, values];
  },
  'com.microsoft:MultiHeadAttention': ([q, k, v, bias, padding, addition, pastKey, pastValue], context) => {
    const heads = numberOf(context, 'num_heads', 1);
    const width = (q as ReferenceTensor).shape[2] as number;
    const isCache = (k as ReferenceTensor).shape.length === 4;
    const query = headed(plus(q as ReferenceTensor, bias, 0), heads);
    const keys = grown(pastKey, headed(isCache ? (k as ReferenceTensor) : plus(k as ReferenceTensor, bias, width), heads));
    const values = grown(pastValue, headed(isCache ? (v as ReferenceTensor) : plus(v as ReferenceTensor, bias, 2 * width), heads));
    const oneWay = numberOf(context, 'unidirectional', 0) !== 0;
    const y = attend(query, keys, values, scaleOf(context, query.shape[3] as number), (b, head, t, key) => {
      const ahead = oneWay && key > t + (keys.shape[2] as number) - (query.shape[2] as number) ? -1e30 : 0;
      return ahead + hidden(padding, b, t, key) + (addition ? broadcastAt(addition, [b, head, t, key]) : 0);
    });
    return [joined(y), keys, values];
  },
  'com.microsoft:GroupQueryAttention': ([q, k, v, , , , , cosine, sine], context) => {
    const [heads, keyHeads] = [numberOf(context, 'num_heads', 1), numberOf(context, 'kv_num_heads', 1)];
    const packed = q as ReferenceTensor;
    const size = (packed.shape[2] as number) / (k ? heads : heads + 2 * keyHeads);
    const [query, key, value] = [
      headed(columns(packed, 0, heads * size), heads),
      headed(k ?? columns(packed, heads * size, keyHeads * size), keyHeads),
      headed(v ?? columns(packed, (heads + keyHeads) * size, keyHeads * size), keyHeads),
    ];
    const [batch, time] = packed.shape as readonly [number, number];
    const positions = tensorOf('int64', [batch, time], ([, t = 0]) => t);
    const turned = (x: ReferenceTensor): ReferenceTensor =>
      numberOf(context, 'do_rotary', 0) !== 0 ? rotate(x, cosine as ReferenceTensor, sine as ReferenceTensor, positions, context) : x;
    const y = attend(turned(query), turned(key), value, scaleOf(context, size), (_, __, t, at) => (at > t ? -1e30 : 0));
    return [joined(y), turned(key), value];
  },
  'com.microsoft:Attention': ([x, weights, bias, mask, , addition], context) => {
    const heads = numberOf(context, 'num_heads', 1);
    const all = plus(matMul(x as ReferenceTensor, weights as ReferenceTensor), bias, 0);
    const width = (all.shape[2] as number) / 3;
    const [q, k, v] = [0, 1, 2].map((part) => headed(columns(all, part * width, width), heads)) as [
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
    ];
    const oneWay = numberOf(context, 'unidirectional', 0) !== 0;
    const y = attend(
      q,
      k,
      v,
      scaleOf(context, width / heads),
      (b, head, t, key) =>
        (oneWay && key > t ? -1e30 : 0) + hidden(mask, b, t, key) + (addition ? broadcastAt(addition, [b, head, t, key]) : 0),
    );
    return [joined(y)];
  },
};
