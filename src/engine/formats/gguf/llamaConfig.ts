import type { TensorEntry } from '../container';
import { unsupportedContent } from '../malformed';
import type { GgufValue } from './metadata';

/** Input of config.json. */
export interface GgufModel {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly values: ReadonlyMap<string, GgufValue>;
}

const families: Readonly<Record<string, { readonly architecture: string; readonly type: string }>> = {
  llama: { architecture: 'LlamaForCausalLM', type: 'llama' },
  qwen2: { architecture: 'Qwen2ForCausalLM', type: 'qwen2' },
};

/** The architecture name of a GGUF file whose weights can be mapped to Hugging Face names, or undefined. */
export function convertibleFamily(values: ReadonlyMap<string, GgufValue>): string | undefined {
  const family = values.get('general.architecture');
  return typeof family === 'string' && Object.hasOwn(families, family) ? family : undefined;
}

/**
 * config.json of a Llama or Qwen2 model from GGUF metadata. `ropeFactors` are the values of `rope_freqs.weight` if the file has it. Errors:
 * `unsupported` for mixtures of experts, sizes that differ by layer and rotary scalings that config.json cannot express.
 */
export function llamaConfig(model: GgufModel, ropeFactors: Float32Array | undefined): Readonly<Record<string, unknown>> {
  const { path: file, tensors, values } = model;
  const family = convertibleFamily(values) as string;
  const { architecture, type } = families[family] as { architecture: string; type: string };
  const refuse = (message: string) => unsupportedContent(file, 'unsupported-architecture', message);
  const read = (key: string): number | undefined => {
    const value = values.get(`${family}.${key}`);
    if (value === undefined || typeof value === 'number') return value;
    throw refuse(`${file}: ${family}.${key} must be a single number to convert the model, but it varies by layer or is not a number.`);
  };
  const need = (key: string): number => {
    const value = read(key);
    if (value === undefined) throw refuse(`${file} has no ${family}.${key}, which config.json requires. Convert the model to GGUF again.`);
    return value;
  };
  if ((read('expert_count') ?? 0) > 0) throw refuse(`${file} is a mixture of experts, which cannot be converted. Use a dense model.`);
  const heads = need('attention.head_count');
  const hidden = need('embedding_length');
  const theta = read('rope.freq_base') ?? 10_000;
  const headSize = read('attention.key_length') ?? read('rope.dimension_count') ?? hidden / heads;
  const rotated = read('rope.dimension_count') ?? headSize;
  if (rotated !== headSize)
    throw refuse(`${file} rotates ${rotated} of ${headSize} values per head; only models that rotate whole heads can be converted.`);
  const has = (suffix: string) => [...tensors.keys()].some((name) => name.endsWith(suffix));
  const id = (key: string) => values.get(`tokenizer.ggml.${key}_token_id`);
  return {
    architectures: [architecture],
    model_type: type,
    hidden_size: hidden,
    intermediate_size: need('feed_forward_length'),
    num_hidden_layers: need('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: read('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? read('vocab_size') ?? 0,
    max_position_embeddings: need('context_length'),
    rms_norm_eps: need('attention.layer_norm_rms_epsilon'),
    rope_theta: theta,
    rope_scaling: ropeFactors ? llama3Scaling(ropeFactors, theta, headSize, file) : metadataScaling(model, family, read),
    hidden_act: 'silu',
    attention_bias: has('attn_q.bias'),
    mlp_bias: has('ffn_gate.bias'),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(typeof id('bos') === 'number' ? { bos_token_id: id('bos') } : {}),
    ...(typeof id('eos') === 'number' ? { eos_token_id: id('eos') } : {}),
    torch_dtype: tensors.get('token_embd.weight')?.dtype === 'bfloat16' ? 'bfloat16' : 'float16',
  };
}

function metadataScaling(model: GgufModel, family: string, read: (key: string) => number | undefined): Record<string, unknown> | null {
  const type = model.values.get(`${family}.rope.scaling.type`);
  if (type === undefined || type === 'none') return null;
  const factor = read('rope.scaling.factor');
  if (type === 'linear' && factor !== undefined) return { type: 'linear', rope_type: 'linear', factor };
  throw unsupportedContent(
    model.path,
    'unsupported-architecture',
    `${model.path} scales rotary positions by ${String(type)}; only linear and Llama 3 scaling can be converted.`,
  );
}

/**
 * Llama 3 files store the scaling as one divisor per frequency. The divisors are recomputed from the four numbers in config.json and must
 * agree: a wrong scaling would go unnoticed until texts get long. Formula: transformers, rope type `llama3`; the published models have low
 * 1, high 4, original context 8,192.
 */
function llama3Scaling(factors: Float32Array, theta: number, headSize: number, file: string): Record<string, unknown> {
  const factor = Math.max(...factors);
  const scaling = { rope_type: 'llama3', factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  const agrees =
    factors.length === headSize / 2 &&
    factors.every((given, i) => {
      const turns = (scaling.original_max_position_embeddings * theta ** ((-2 * i) / headSize)) / (2 * Math.PI);
      const smooth = Math.min(1, Math.max(0, (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)));
      const expected = 1 / ((1 - smooth) / factor + smooth);
      return Math.abs(given - expected) <= 1e-3 * expected;
    });
  if (agrees) return scaling;
  throw unsupportedContent(
    file,
    'unsupported-architecture',
    `${file} has frequency factors (rope_freqs) other than those of Llama 3, which config.json cannot express.`,
  );
}
