import type { GraphBuilder } from '../../graph/builder';
import { int, ints } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { DecoderConfig, WeightSource } from '../architecture';
import { blockNames } from './expectedTensors';
import { applyRotary, type RotaryAngles } from './rope';

/** Keys or values of the preceding tokens, [batch, keyValueHeads, past, headSize]. */
export interface BlockCache {
  readonly key: Value;
  readonly value: Value;
}

/** Inputs of a block besides its weights. */
export interface BlockInputs {
  /** [batch, sequence, hiddenSize]. */
  readonly hidden: Value;
  readonly angles: RotaryAngles;
  /** Added to the scores: 0 for visible keys, a large negative number elsewhere; [batch or 1, 1, 1, sequence, total]. */
  readonly mask: Value;
  readonly past?: BlockCache;
}

/** The results of a block: the residual stream, and keys and values including the past. */
export interface BlockOutputs {
  readonly hidden: Value;
  readonly key: Value;
  readonly value: Value;
}

/**
 * One decoder block of the Llama family, in standard operators:
 *   h = x + attention(norm(x)),   y = h + down(silu(gate(norm(h))) * up(norm(h)))
 * Query heads of one group share a key head: the queries of a group are folded into rows, so that keys are never repeated.
 */
export function decoderBlock(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  block: number,
  inputs: BlockInputs,
): BlockOutputs {
  const names = blockNames(block);
  const { hiddenSize, intermediateSize } = config;
  const normed = rmsNorm(build, config, weights, names.inputNorm, inputs.hidden);
  const attended = attention(build, config, weights, block, { ...inputs, hidden: normed });
  const middle = build.op('Add', [inputs.hidden, attended.hidden], {}, { name: `layers.${block}/attention_residual` });
  const normedMiddle = rmsNorm(build, config, weights, names.postNorm, middle);
  const bias = (name: string) => (config.biases.mlp ? `${name}.bias` : undefined);
  const wide = { out: intermediateSize, in: hiddenSize };
  const gate = weights.linear(build, `${names.gate}.weight`, normedMiddle, wide, bias(names.gate));
  const up = weights.linear(build, `${names.up}.weight`, normedMiddle, wide, bias(names.up));
  const activated = build.op('Mul', [gate, build.op('Sigmoid', [gate])], {}, { name: `layers.${block}/silu` });
  const product = build.op('Mul', [activated, up], {}, { name: `layers.${block}/gated` });
  const down = weights.linear(build, `${names.down}.weight`, product, { out: hiddenSize, in: intermediateSize }, bias(names.down));
  const hidden = build.op('Add', [middle, down], {}, { name: `layers.${block}/mlp_residual` });
  return { hidden, key: attended.key, value: attended.value };
}

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axis, in the form that ONNX Runtime fuses into one kernel. */
export function rmsNorm(build: GraphBuilder, config: DecoderConfig, weights: WeightSource, name: string, x: Value): Value {
  const square = build.op('Pow', [x, build.float32(2)]);
  const mean = build.op('ReduceMean', [square, build.int64([-1])], { keepdims: int(1) });
  const deviation = build.op('Sqrt', [build.op('Add', [mean, build.float32(config.normEpsilon)])]);
  const scaled = build.op('Div', [x, deviation]);
  return build.op('Mul', [scaled, weights.vector(build, name, config.hiddenSize)]);
}

function attention(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  block: number,
  { hidden, angles, mask, past }: BlockInputs,
): BlockOutputs {
  const { hiddenSize, heads, keyValueHeads, headSize, biases } = config;
  const names = blockNames(block);
  const prefix = `layers.${block}/attention`;
  const projected = (name: string, count: number): Value => {
    const shape = { out: count * headSize, in: hiddenSize };
    const flat = weights.linear(build, `${name}.weight`, hidden, shape, biases.queryKeyValue ? `${name}.bias` : undefined);
    const split = build.op('Reshape', [flat, build.int64([0, 0, count, headSize])]);
    return build.op('Transpose', [split], { perm: ints([0, 2, 1, 3]) });
  };
  const query = applyRotary(build, config, projected(names.query, heads), angles, `${prefix}/query`);
  const newKey = applyRotary(build, config, projected(names.key, keyValueHeads), angles, `${prefix}/key`);
  const newValue = projected(names.value, keyValueHeads);
  const key = past ? build.op('Concat', [past.key, newKey], { axis: int(2) }) : newKey;
  const value = past ? build.op('Concat', [past.value, newValue], { axis: int(2) }) : newValue;

  const group = heads / keyValueHeads;
  const scale = build.float32(headSize ** -0.5);
  // [batch, keyValueHeads, group * sequence, headSize]: rows of one group see the same keys.
  const rows = build.op('Reshape', [build.op('Mul', [query, scale]), build.int64([0, keyValueHeads, -1, headSize])]);
  const scores = build.op('MatMul', [rows, build.op('Transpose', [key], { perm: ints([0, 1, 3, 2]) })], {}, { name: `${prefix}/scores` });
  const grouped = groupRows(build, scores, hidden, group, keyValueHeads);
  const weightsOfKeys = build.op('Softmax', [build.op('Add', [grouped, mask])], { axis: int(-1) }, { name: `${prefix}/Softmax` });
  const folded = build.op('Reshape', [weightsOfKeys, build.op('Shape', [scores])]);
  const mixed = build.op('MatMul', [folded, value], {}, { name: `${prefix}/mix` });
  const perHead = groupRows(build, mixed, hidden, group, keyValueHeads, headSize);
  const merged = build.op('Reshape', [
    build.op('Transpose', [perHead], { perm: ints([0, 3, 1, 2, 4]) }),
    build.int64([0, 0, heads * headSize]),
  ]);
  const output = weights.linear(
    build,
    `${names.output}.weight`,
    merged,
    { out: hiddenSize, in: heads * headSize },
    biases.output ? `${names.output}.bias` : undefined,
  );
  return { hidden: output, key, value };
}

/** [batch, keyValueHeads, group * sequence, columns] as [batch, keyValueHeads, group, sequence, columns]. */
function groupRows(build: GraphBuilder, x: Value, hidden: Value, group: number, keyValueHeads: number, columns?: number): Value {
  const sequence = build.op('Shape', [hidden], { start: int(1), end: int(2) });
  const last = columns === undefined ? build.op('Shape', [x], { start: int(3), end: int(4) }) : build.int64([columns]);
  const target = build.op('Concat', [build.int64([0, keyValueHeads, group]), sequence, last], { axis: int(0) });
  return build.op('Reshape', [x, target]);
}

/**
 * The additive mask of causal attention: the query at slot `past + q` sees slots up to its own, within the sliding window if there is one
 * (its own slot and the window - 1 before it), and only where the attention mask is not 0. Shapes: `sequence` and `total` [] int64;
 * `attentionMask` [batch, total] int64, if any. Result [batch or 1, 1, 1, sequence, total].
 */
export function causalMask(
  build: GraphBuilder,
  lengths: { readonly sequence: Value; readonly total: Value },
  slidingWindow: number | undefined,
  attentionMask?: Value,
): Value {
  const zero = build.int64(0);
  const one = build.int64(1);
  const keys = build.op('Range', [zero, lengths.total, one]);
  const past = build.op('Sub', [lengths.total, lengths.sequence]);
  const queries = build.op('Unsqueeze', [build.op('Range', [past, lengths.total, one]), build.int64([1])]);
  let allowed = build.op('LessOrEqual', [keys, queries]);
  if (slidingWindow !== undefined)
    allowed = build.op('And', [allowed, build.op('Less', [build.op('Sub', [queries, keys]), build.int64(slidingWindow)])]);
  if (attentionMask) {
    const present = build.op('Unsqueeze', [build.op('Cast', [attentionMask], { to: int(9) }), build.int64([1, 2, 3])]);
    allowed = build.op('And', [allowed, present]);
  } else {
    allowed = build.op('Unsqueeze', [allowed, build.int64([0, 1, 2])]);
  }
  // Finite, so that a row without any visible key (left padding) gives equal weights instead of NaN.
  return build.op('Where', [allowed, build.float32(0), build.float32(-1e30)]);
}
