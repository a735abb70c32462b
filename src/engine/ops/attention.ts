import type { InferContext } from '../graph/operator';
import { addDimensions, divideProducts, formatShape, multiplyDimensions } from '../graph/shapes';
import type { Dimension, TensorType } from '../graph/types';
import { attentionGradient, groupQueryGradient, multiHeadGradient, projectedGradient } from './attentionGradients';
import { defineOp } from './defineOp';
import { commonDType, floatTypes, intAttribute, invalid, requireDType, requireRank, requiredInt, unknownLength } from './inference';

/** Fused attention operators, standard and ONNX Runtime's. Caches are [batch, heads, time, size]. */

/** Length / count; must be exact. */
function share(length: Dimension, count: number, what: string): Dimension {
  const result = divideProducts([length], [count]);
  if (result === undefined) throw invalid(`${what}: ${String(length)} is not divisible by ${count} heads.`);
  return result;
}

/** A cache extended by the new keys or values. */
function grown(
  past: TensorType | undefined,
  added: { readonly batch: Dimension; readonly heads: Dimension; readonly time: Dimension; readonly size: Dimension },
): readonly Dimension[] {
  const before = past?.shape?.[2];
  return [added.batch, added.heads, before === undefined ? added.time : addDimensions(before, added.time), added.size];
}

/**
 * Standard since opset 23. Q, K, V as [batch, heads, time, size] or, with the head counts as attributes, as [batch, time, heads * size].
 * Outputs: Y shaped like Q with V's head size, present key, present value, scores.
 */
const attention = defineOp({
  name: 'Attention',
  inputs: 3,
  maxInputs: 7,
  infer: ([q, k, v, , pastKey, pastValue], context) => {
    commonDType([q, k]);
    requireRank(q, [3, 4], 'The query of Attention');
    const unknown = { dtype: q.dtype, shape: undefined };
    if (q.shape === undefined || k.shape === undefined || v.shape === undefined) return [unknown, unknown, unknown, unknown];
    const flat = q.shape.length === 3;
    const heads = flat ? requiredInt(context, 'q_num_heads') : (q.shape[1] as Dimension);
    const keyHeads = flat ? requiredInt(context, 'kv_num_heads') : (k.shape[1] as Dimension);
    const [batch, time] = [q.shape[0] as Dimension, q.shape.at(-2) as Dimension];
    const size = (type: readonly Dimension[]): Dimension =>
      flat ? share(type[2] as Dimension, keyHeads as number, 'Attention') : (type[3] as Dimension);
    const keys = grown(pastKey, { batch, heads: keyHeads, time: k.shape.at(-2) as Dimension, size: size(k.shape) });
    const values = grown(pastValue, { batch, heads: keyHeads, time: v.shape.at(-2) as Dimension, size: size(v.shape) });
    const valueSize = values[3] as Dimension;
    return [
      { dtype: q.dtype, shape: flat ? [batch, time, multiplyDimensions([heads, valueSize])] : [batch, heads, time, valueSize] },
      { dtype: k.dtype, shape: keys },
      { dtype: v.dtype, shape: values },
      { dtype: q.dtype, shape: [batch, heads, time, keys[2] as Dimension] },
    ];
  },
  gradient: attentionGradient,
});

/**
 * Causal attention with fewer key heads than query heads. Query [batch, time, heads * size]; or query, key and value packed one after the
 * other, with the key input omitted. Inputs 5 and 6: sequence lengths minus one, total length.
 */
const groupQueryAttention = defineOp({
  name: 'GroupQueryAttention',
  domain: 'com.microsoft',
  inputs: 1,
  maxInputs: 16,
  infer: ([query, key, , pastKey, pastValue, lengths, total], context) => {
    requireDType(query, floatTypes, 'The query of GroupQueryAttention');
    requireDType(lengths, ['int32'], 'The sequence lengths of GroupQueryAttention');
    requireDType(total, ['int32'], 'The total length of GroupQueryAttention');
    const heads = requiredInt(context, 'num_heads');
    const keyHeads = requiredInt(context, 'kv_num_heads');
    const cache = pastKey?.dtype ?? query.dtype;
    const unknown = { dtype: cache, shape: undefined };
    if (query.shape === undefined) return [{ dtype: query.dtype, shape: undefined }, unknown, unknown];
    requireRank(query, [3], 'The query of GroupQueryAttention');
    const [batch, time, width] = query.shape as readonly [Dimension, Dimension, Dimension];
    const size = share(width, key === undefined ? heads + 2 * keyHeads : heads, 'GroupQueryAttention');
    const present = (past: TensorType | undefined) => grown(past, { batch, heads: keyHeads, time, size });
    return [
      { dtype: query.dtype, shape: [batch, time, multiplyDimensions([heads, size])] },
      { dtype: cache, shape: present(pastKey) },
      { dtype: cache, shape: present(pastValue) },
    ];
  },
  gradient: groupQueryGradient,
});

/** Attention with one key head per query head; packed forms as in ONNX Runtime. */
const multiHeadAttention = defineOp({
  name: 'MultiHeadAttention',
  domain: 'com.microsoft',
  inputs: 1,
  maxInputs: 10,
  infer: ([query, key, value, , , , pastKey, pastValue], context) => {
    const heads = requiredInt(context, 'num_heads');
    const unknown = { dtype: query.dtype, shape: undefined };
    if (query.shape === undefined) return [unknown, unknown, unknown];
    const packed = query.shape.length === 5;
    if (!packed && query.shape.length !== 3)
      throw invalid(`The query of MultiHeadAttention must have rank 3 or 5, got shape ${formatShape(query.shape)}.`);
    const batch = query.shape[0] as Dimension;
    const time = query.shape[1] as Dimension;
    const width = packed ? multiplyDimensions([heads, query.shape[4] as Dimension]) : (query.shape[2] as Dimension);
    const valueWidth = valueWidthOf(value, heads) ?? width;
    const keyTime = keyTimeOf(key, time, context);
    const size = share(width, heads, 'MultiHeadAttention');
    return [
      { dtype: query.dtype, shape: [batch, time, valueWidth] },
      { dtype: query.dtype, shape: grown(pastKey, { batch, heads, time: keyTime, size }) },
      {
        dtype: query.dtype,
        shape: grown(pastValue, { batch, heads, time: keyTime, size: share(valueWidth, heads, 'MultiHeadAttention') }),
      },
    ];
  },
  gradient: multiHeadGradient,
});

/** Total width of the value heads: value is [batch, time, width] or, from a cache, [batch, heads, time, size]. */
function valueWidthOf(value: TensorType | undefined, heads: number): Dimension | undefined {
  if (value?.shape === undefined) return undefined;
  return value.shape.length === 4 ? multiplyDimensions([heads, value.shape[3] as Dimension]) : value.shape[2];
}

/** Number of keys: key is [batch, time, width], packed [batch, time, heads, 2, size] or, from a cache, [batch, heads, time, size]. */
function keyTimeOf(key: TensorType | undefined, time: Dimension, context: InferContext): Dimension {
  if (key === undefined) return time;
  if (key.shape === undefined) return unknownLength(context, 'keys');
  return key.shape[key.shape.length === 4 ? 2 : 1] as Dimension;
}

/** ONNX Runtime's attention that includes the projection (BERT exports): x [batch, time, in], weights [in, 3 * hidden]. */
const microsoftAttention = defineOp({
  name: 'Attention',
  domain: 'com.microsoft',
  inputs: 2,
  maxInputs: 7,
  infer: ([x, weights, , , past], context) => {
    const heads = requiredInt(context, 'num_heads');
    if (x.shape === undefined || weights.shape === undefined) return [x, { dtype: x.dtype, shape: undefined }];
    const hidden = share(weights.shape[1] as Dimension, 3, 'Attention');
    const [batch, time] = [x.shape[0] as Dimension, x.shape[1] as Dimension];
    const before = past?.shape?.[3];
    const all = before === undefined ? time : addDimensions(before, time);
    return [
      { dtype: x.dtype, shape: [batch, time, hidden] },
      { dtype: x.dtype, shape: [2, batch, intAttribute(context, 'num_heads', heads), all, share(hidden, heads, 'Attention')] },
    ];
  },
  gradient: projectedGradient,
});

/** All attention operators. */
export const attentionOperators = [attention, groupQueryAttention, multiHeadAttention, microsoftAttention];
