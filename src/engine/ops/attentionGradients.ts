import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { attentionGradients, causalMask, fromHeads, maskGradient, maskWhere, toHeads } from './attentionCore';
import { filled, reshaped, staticShape, transposed } from './gradients';
import { floatAttribute, intAttribute, invalid, requiredInt } from './inference';
import { sliced } from './placement';

/** Gradients of the attention operators, standard and ONNX Runtime's, in the forms that exporters write for whole sequences. */

/** Throws unless an input is absent. */
function refuseInputs({ inputs }: GradientContext, names: Readonly<Record<number, string>>): void {
  for (const [index, name] of Object.entries(names))
    if (inputs[Number(index)] !== undefined) throw invalid(`its input ${index} (${name}) has no gradient rule`);
}

/** Throws unless a number attribute is 0 or absent. */
function refuseAttributes({ node }: GradientContext, names: readonly string[]): void {
  for (const name of names) {
    const attribute = node.attributes[name];
    const isOff = attribute === undefined || ((attribute.kind === 'int' || attribute.kind === 'float') && attribute.value === 0);
    if (!isOff) throw invalid(`its attribute ${name} has no gradient rule`);
  }
}

const scaleOf = ({ node }: GradientContext, size: number): number => {
  const given = floatAttribute(node, 'scale', 0);
  return given === 0 ? 1 / Math.sqrt(size) : given;
};

/** A cache followed by new keys or values: [batch, heads, time, size]. */
const behind = (build: GraphBuilder, past: Value | undefined, added: Value): Value =>
  past === undefined || staticShape(past)[2] === 0 ? added : build.op('Concat', [past, added], { axis: int(2) });

const timeOf = (value: Value): number => staticShape(value)[2] as number;

/** Splits a gradient into the parts of the cache and of what was appended. */
function apart(build: GraphBuilder, gradient: Value, past: Value | undefined): { readonly past: Value | undefined; readonly added: Value } {
  const before = past === undefined ? 0 : timeOf(past);
  return {
    past: past && sliced(build, gradient, [{ axis: 2, start: 0, count: before, step: 1 }]),
    added: sliced(build, gradient, [{ axis: 2, start: before, count: timeOf(gradient) - before, step: 1 }]),
  };
}

const sumOf = (build: GraphBuilder, a: Value, b: Value | undefined): Value => (b === undefined ? a : build.op('Add', [a, b]));

/** Standard Attention: with or without a head axis, caches, boolean or additive masks, causal or not. */
export const attentionGradient: GradientRule = (context) => {
  const { build, node, needs, outputGradients } = context;
  const [q, k, v, mask, pastKey, pastValue] = context.inputs;
  const [dy, dPresentKey, dPresentValue, dScores] = outputGradients;
  if (!q || !k || !v) return [];
  refuseInputs(context, { 6: 'lengths without padding' });
  refuseAttributes(context, ['softcap']);
  if (dScores) throw invalid('its score output has no gradient rule');
  const flat = staticShape(q).length === 3;
  const heads = (value: Value, attribute: string): Value => (flat ? toHeads(build, value, requiredInt(node, attribute)) : value);
  const [q4, k4, v4] = [heads(q, 'q_num_heads'), heads(k, 'kv_num_heads'), heads(v, 'kv_num_heads')];
  const keys = behind(build, pastKey, k4);
  const values = behind(build, pastValue, v4);
  const added = mask && (mask.type.dtype === 'bool' ? maskWhere(build, mask, q) : mask);
  if (mask && ![1, timeOf(keys)].includes(staticShape(mask).at(-1) as number))
    throw invalid('masks shorter than the keys have no gradient rule');
  const causal =
    intAttribute(node, 'is_causal', 0) !== 0
      ? causalMask(build, q, timeOf(q4), timeOf(keys), pastKey === undefined ? 0 : timeOf(pastKey))
      : undefined;
  const masks = [added, causal].filter((each) => each !== undefined);
  const scale = scaleOf(context, staticShape(q4)[3] as number);
  const dy4 = dy && (flat ? toHeads(build, dy, staticShape(q4)[1] as number) : dy);
  const gradients = dy4 && attentionGradients(build, { q: q4, k: keys, v: values, masks, scale }, dy4);
  const whole = (own: Value | undefined, present: Value | undefined) => (own ? sumOf(build, own, present) : present);
  const dKeys = whole(gradients?.k, dPresentKey);
  const dValues = whole(gradients?.v, dPresentValue);
  const key = dKeys && apart(build, dKeys, pastKey);
  const value = dValues && apart(build, dValues, pastValue);
  const back = (gradient: Value | undefined): Value | undefined => (flat && gradient ? fromHeads(build, gradient) : gradient);
  return [
    needs(0) ? back(gradients?.q) : undefined,
    needs(1) ? back(key?.added) : undefined,
    needs(2) ? back(value?.added) : undefined,
    mask && needs(3) && gradients ? maskGradient(build, gradients, mask) : undefined,
    pastKey && needs(4) ? key?.past : undefined,
    pastValue && needs(5) ? value?.past : undefined,
  ];
};

/** The keys that a mask of ONNX Runtime's operators shows: [batch, keys] or [batch, time, keys], nonzero for visible keys. */
function keyMask(build: GraphBuilder, mask: Value, like: Value, keys: number): Value {
  const shape = staticShape(mask);
  if (shape.at(-1) !== keys || (shape.length !== 2 && shape.length !== 3))
    throw invalid(`its mask of shape [${shape.join(', ')}] has no gradient rule; only [batch, keys] and [batch, time, keys] have one`);
  const axes = shape.length === 2 ? [1, 2] : [1];
  return maskWhere(build, build.op('Unsqueeze', [mask, build.int64(axes)]), like);
}

/** MultiHeadAttention: separate query, key and value [batch, time, heads * size] (key and value also [batch, heads, time, size]). */
export const multiHeadGradient: GradientRule = (context) => {
  const { build, node, needs, outputGradients } = context;
  const [q, k, v, bias, padding, addition, pastKey, pastValue] = context.inputs;
  const [dy, dPresentKey, dPresentValue] = outputGradients;
  if (!q || !k || !v || staticShape(q).length !== 3)
    throw invalid('its packed form has no gradient rule; only separate query, key and value have one');
  refuseInputs(context, { 8: 'length of the past', 9: 'cache indirection' });
  if (!dy || dPresentKey || dPresentValue) throw invalid('its cache outputs have no gradient rule');
  const heads = requiredInt(node, 'num_heads');
  const widths = [q, k, v].map((value) =>
    staticShape(value).length === 4 ? heads * (staticShape(value)[3] as number) : (staticShape(value)[2] as number),
  );
  const start = (part: number): number => widths.slice(0, part).reduce((sum, width) => sum + width, 0);
  const biased = (value: Value, part: number): Value =>
    bias ? build.op('Add', [value, sliced(build, bias, [{ axis: 0, start: start(part), count: widths[part] as number, step: 1 }])]) : value;
  const isCache = (value: Value): boolean => staticShape(value).length === 4;
  const headed = (value: Value, part: number): Value => (isCache(value) ? value : toHeads(build, biased(value, part), heads));
  const q4 = headed(q, 0);
  const keys = behind(build, pastKey, headed(k, 1));
  const values = behind(build, pastValue, headed(v, 2));
  const past = timeOf(keys) - timeOf(q4);
  const masks = [
    padding && keyMask(build, padding, q, timeOf(keys)),
    addition,
    intAttribute(node, 'unidirectional', 0) !== 0 ? causalMask(build, q, timeOf(q4), timeOf(keys), past) : undefined,
  ].filter((mask) => mask !== undefined);
  const scale = scaleOf(context, (widths[0] as number) / heads);
  const gradients = attentionGradients(build, { q: q4, k: keys, v: values, masks, scale }, toHeads(build, dy, heads));
  const key = apart(build, gradients.k, pastKey);
  const value = apart(build, gradients.v, pastValue);
  const parts = [
    fromHeads(build, gradients.q),
    isCache(k) ? key.added : fromHeads(build, key.added),
    isCache(v) ? value.added : fromHeads(build, value.added),
  ] as const;
  const biasGradient = (): Value =>
    build.op(
      'Concat',
      [q, k, v].map((input, part) =>
        isCache(input)
          ? filled(build, 0, [widths[part] as number], q.type.dtype)
          : build.op('ReduceSum', [parts[part] as Value, build.int64([0, 1])], { keepdims: int(0) }),
      ),
      { axis: int(0) },
    );
  return [
    ...parts,
    bias && needs(3) ? biasGradient() : undefined,
    undefined,
    addition && needs(5) ? maskGradient(build, gradients, addition) : undefined,
    key.past,
    value.past,
  ];
};

/** GroupQueryAttention over whole sequences: no cache yet, every row as long as the longest or padded at its end. */
export const groupQueryGradient: GradientRule = (context) => {
  const { build, node, outputGradients } = context;
  const [query, key, value, pastKey, , , , cosine, sine] = context.inputs;
  const [dy, dPresentKey, dPresentValue] = outputGradients;
  if (!query) return [];
  if (pastKey && timeOf(pastKey) !== 0)
    throw invalid(`it has a cache of ${timeOf(pastKey)} positions; only an empty cache has a gradient rule`);
  if (!dy || dPresentKey || dPresentValue) throw invalid('its cache outputs have no gradient rule');
  refuseInputs(context, { 9: 'positions', 10: 'attention bias', 11: 'head sinks', 12: 'key scale', 13: 'value scale' });
  refuseAttributes(context, ['softcap', 'smooth_softmax']);
  if (intAttribute(node, 'local_window_size', -1) > 0) throw invalid('its attribute local_window_size has no gradient rule');
  const [heads, keyHeads] = [requiredInt(node, 'num_heads'), requiredInt(node, 'kv_num_heads')];
  const [batch, time, width] = staticShape(query) as readonly [number, number, number];
  const size = width / (key === undefined ? heads + 2 * keyHeads : heads);
  const counts = [heads, keyHeads, keyHeads];
  const widths = build.int64(counts.map((count) => count * size));
  const [q3, k3, v3] = (key && value ? [query, key, value] : build.node('Split', [query, widths], { axis: int(2) }, { outputs: 3 })) as [
    Value,
    Value,
    Value,
  ];
  const rotary = intAttribute(node, 'do_rotary', 0) !== 0;
  const positions = build.int64(
    Array.from({ length: batch * time }, (_, at) => at % time),
    [batch, time],
  );
  const turned = (x: Value, sines: Value | undefined): Value =>
    rotary
      ? build.op(
          'RotaryEmbedding',
          [x, positions, cosine, sines],
          { interleaved: int(intAttribute(node, 'rotary_interleaved', 0)) },
          { domain: 'com.microsoft' },
        )
      : x;
  const parts = {
    q: turned(toHeads(build, q3, heads), sine),
    k: turned(toHeads(build, k3, keyHeads), sine),
    v: toHeads(build, v3, keyHeads),
    masks: [causalMask(build, query, time, time, 0)],
    scale: scaleOf(context, size),
  };
  const gradients = attentionGradients(build, parts, toHeads(build, dy, heads));
  const back = rotary && sine ? build.op('Neg', [sine]) : undefined;
  const results = [turned(gradients.q, back), turned(gradients.k, back), gradients.v].map((gradient) => fromHeads(build, gradient));
  return key ? results : [build.op('Concat', results, { axis: int(2) })];
};

/** ONNX Runtime's Attention, which includes the projection to query, key and value. */
export const projectedGradient: GradientRule = (context) => {
  const { build, node, needs, outputGradients } = context;
  const [x, weights, bias, mask, past, addition] = context.inputs;
  const [dy, dPresent] = outputGradients;
  if (!x || !weights) return [];
  if (past || !dy || dPresent) throw invalid('its cache has no gradient rule');
  if (node.attributes['qkv_hidden_sizes'] !== undefined) throw invalid('its attribute qkv_hidden_sizes has no gradient rule');
  refuseAttributes(context, ['do_rotary']);
  const heads = requiredInt(node, 'num_heads');
  const [batch, time, inner] = staticShape(x) as readonly [number, number, number];
  const width = (staticShape(weights)[1] as number) / 3;
  const product = build.op('MatMul', [x, weights]);
  const projected = bias ? build.op('Add', [product, bias]) : product;
  const [q, k, v] = build
    .node('Split', [projected, build.int64([width, width, width])], { axis: int(2) }, { outputs: 3 })
    .map((part) => toHeads(build, part, heads)) as [Value, Value, Value];
  const masks = [
    mask && keyMask(build, mask, x, time),
    addition,
    intAttribute(node, 'unidirectional', 0) !== 0 ? causalMask(build, x, time, time, 0) : undefined,
  ].filter((each) => each !== undefined);
  const gradients = attentionGradients(build, { q, k, v, masks, scale: scaleOf(context, width / heads) }, toHeads(build, dy, heads));
  const parts = [gradients.q, gradients.k, gradients.v].map((gradient) => fromHeads(build, gradient));
  const whole = build.op('Concat', parts, { axis: int(2) });
  const rows = (value: Value, columns: number): Value => reshaped(build, value, [batch * time, columns]);
  return [
    needs(0) ? build.op('MatMul', [whole, transposed(build, weights, [1, 0])]) : undefined,
    needs(1) ? build.op('MatMul', [transposed(build, rows(x, inner), [1, 0]), rows(whole, 3 * width)]) : undefined,
    bias && needs(2) ? build.op('ReduceSum', [whole, build.int64([0, 1])], { keepdims: int(0) }) : undefined,
    undefined,
    undefined,
    addition && needs(5) ? maskGradient(build, gradients, addition) : undefined,
  ];
};
