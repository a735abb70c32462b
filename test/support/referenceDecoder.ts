import type { DecoderConfig } from '../../src/engine/architectures/architecture';
import { inverseFrequencies } from '../../src/engine/architectures/decoder/rope';
import { windowOfBlock } from '../../src/engine/architectures/decoder/readDecoderConfig';

/** What a decoder computes for one sequence, in float64. */
export interface DecoderTrace {
  /** Hidden states before each block and after the last, [tokens * hiddenSize]. */
  readonly hidden: readonly Float64Array[];
  /** Inputs of every linear weight by name, [tokens * in]; the head's too. */
  readonly inputs: ReadonlyMap<string, Float64Array>;
  /** [tokens * vocabulary]. */
  readonly logits: Float64Array;
}

/**
 * A decoder of the Llama family as plain loops in float64, written from the formulas: no graph, no runtime. Slow; for tiny models. `weightsOf` gives the weights
 * of each block, so that blocks may come from different models.
 */
export function referenceDecoder(
  config: DecoderConfig,
  weightsOf: (block: number | undefined) => ReadonlyMap<string, Float32Array>,
  ids: readonly number[],
): DecoderTrace {
  const tokens = ids.length;
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headSize, layers, biases } = config;
  const inputs = new Map<string, Float64Array>();
  const outer = weightsOf(undefined);
  const linear = (weights: ReadonlyMap<string, Float32Array>, name: string, x: Float64Array, columns: number, bias: boolean) => {
    inputs.set(`${name}.weight`, x);
    const matrix = weights.get(`${name}.weight`)!;
    return product(x, matrix, columns, bias ? weights.get(`${name}.bias`)! : undefined);
  };
  const embedding = outer.get('model.embed_tokens.weight')!;
  let state: Float64Array = Float64Array.from(ids.flatMap((id) => [...embedding.subarray(id * hiddenSize, (id + 1) * hiddenSize)]));
  const hidden = [state];
  for (let block = 0; block < layers; block += 1) {
    const weights = weightsOf(block);
    const prefix = `model.layers.${block}`;
    const normed = rmsNorm(state, weights.get(`${prefix}.input_layernorm.weight`)!, config.normEpsilon);
    const projected = (name: string) => linear(weights, `${prefix}.self_attn.${name}`, normed, hiddenSize, biases.queryKeyValue);
    const query = rotate(projected('q_proj'), heads, config);
    const key = rotate(projected('k_proj'), keyValueHeads, config);
    const value = projected('v_proj');
    const mixed = attention(query, key, value, { tokens, heads, keyValueHeads, headSize, window: windowOfBlock(config, block) });
    const middle = sum(state, linear(weights, `${prefix}.self_attn.o_proj`, mixed, heads * headSize, biases.output));
    const normedMiddle = rmsNorm(middle, weights.get(`${prefix}.post_attention_layernorm.weight`)!, config.normEpsilon);
    const gate = linear(weights, `${prefix}.mlp.gate_proj`, normedMiddle, hiddenSize, biases.mlp);
    const up = linear(weights, `${prefix}.mlp.up_proj`, normedMiddle, hiddenSize, biases.mlp);
    const gated = gate.map((x, index) => (x / (1 + Math.exp(-x))) * up[index]!);
    state = sum(middle, linear(weights, `${prefix}.mlp.down_proj`, gated, intermediateSize, biases.mlp));
    hidden.push(state);
  }
  const last = rmsNorm(state, outer.get('model.norm.weight')!, config.normEpsilon);
  const head = config.tiedEmbeddings ? 'model.embed_tokens' : 'lm_head';
  return { hidden, logits: linear(outer, head, last, hiddenSize, false), inputs };
}

/** x [rows * columns] times the transpose of a matrix [out * columns]. */
function product(x: Float64Array, matrix: Float32Array, columns: number, bias: Float32Array | undefined): Float64Array {
  const rows = x.length / columns;
  const out = matrix.length / columns;
  const result = new Float64Array(rows * out);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < out; column += 1) {
      let total = bias ? bias[column]! : 0;
      for (let index = 0; index < columns; index += 1) total += x[row * columns + index]! * matrix[column * columns + index]!;
      result[row * out + column] = total;
    }
  return result;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, index) => value + b[index]!);
}

function rmsNorm(x: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const width = weight.length;
  const result = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = x.subarray(start, start + width);
    const scale = Math.sqrt(row.reduce((total, value) => total + value * value, 0) / width + epsilon);
    row.forEach((value, index) => (result[start + index] = (value / scale) * weight[index]!));
  }
  return result;
}

/** [tokens, heads, headSize]: pairs (i, i + headSize / 2) turned by position * frequency[i]. */
function rotate(x: Float64Array, heads: number, config: DecoderConfig): Float64Array {
  const { headSize } = config;
  const half = headSize / 2;
  const frequencies = inverseFrequencies(config);
  const result = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += headSize) {
    const position = Math.floor(start / (heads * headSize));
    for (let index = 0; index < half; index += 1) {
      const angle = position * frequencies[index]!;
      const [first, second] = [x[start + index]!, x[start + half + index]!];
      result[start + index] = first * Math.cos(angle) - second * Math.sin(angle);
      result[start + half + index] = second * Math.cos(angle) + first * Math.sin(angle);
    }
  }
  return result;
}

function attention(
  query: Float64Array,
  key: Float64Array,
  value: Float64Array,
  sizes: {
    readonly tokens: number;
    readonly heads: number;
    readonly keyValueHeads: number;
    readonly headSize: number;
    readonly window: number | undefined;
  },
): Float64Array {
  const { tokens, heads, keyValueHeads, headSize, window } = sizes;
  const result = new Float64Array(tokens * heads * headSize);
  for (let head = 0; head < heads; head += 1) {
    const shared = Math.floor(head / (heads / keyValueHeads));
    for (let token = 0; token < tokens; token += 1) {
      const first = Math.max(0, window === undefined ? 0 : token - window + 1);
      const scores: number[] = [];
      for (let other = first; other <= token; other += 1) {
        let score = 0;
        for (let index = 0; index < headSize; index += 1)
          score += query[(token * heads + head) * headSize + index]! * key[(other * keyValueHeads + shared) * headSize + index]!;
        scores.push(score / Math.sqrt(headSize));
      }
      const largest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - largest));
      const total = shares.reduce((all, share) => all + share, 0);
      shares.forEach((share, offset) => {
        for (let index = 0; index < headSize; index += 1)
          result[(token * heads + head) * headSize + index]! +=
            (share / total) * value[((first + offset) * keyValueHeads + shared) * headSize + index]!;
      });
    }
  }
  return result;
}
