import type { TensorEntry } from '../container';
import { quoteName, unsupportedContent } from '../malformed';
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
    if (value === undefined)
      throw refuse(`${file} has no ${family}.${key} in its metadata, which such a model needs. Convert the model to GGUF again.`);
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
  const blocks = need('block_count');
  const biases = biasesOf(model, family, blocks);
  const id = (key: string) => values.get(`tokenizer.ggml.${key}_token_id`);
  return {
    architectures: [architecture],
    model_type: type,
    hidden_size: hidden,
    intermediate_size: need('feed_forward_length'),
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: read('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? need('vocab_size'),
    max_position_embeddings: need('context_length'),
    rms_norm_eps: need('attention.layer_norm_rms_epsilon'),
    rope_theta: theta,
    rope_scaling: scalingOf(model, family, read, ropeFactors, theta, headSize),
    hidden_act: 'silu',
    attention_bias: biases.attention,
    mlp_bias: biases.mlp,
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(typeof id('bos') === 'number' ? { bos_token_id: id('bos') } : {}),
    ...(typeof id('eos') === 'number' ? { eos_token_id: id('eos') } : {}),
    torch_dtype: tensors.get('token_embd.weight')?.dtype === 'bfloat16' ? 'bfloat16' : 'float16',
  };
}

/**
 * Whether the linear layers have biases: in Hugging Face's Llama all of an attention or none, in all blocks, and in Qwen2 those of q, k and v. Others have no place there. Errors: `unsupported`.
 */
function biasesOf(
  { path: file, tensors }: GgufModel,
  family: string,
  blocks: number,
): { readonly attention: boolean; readonly mlp: boolean } {
  const counts = new Map<string, number>();
  for (const name of tensors.keys()) {
    const layer = /^blk\.\d+\.(attn_(?:q|k|v|output)|ffn_(?:gate|up|down))\.bias$/.exec(name)?.[1];
    if (layer !== undefined) counts.set(layer, (counts.get(layer) ?? 0) + 1);
  }
  const groups =
    family === 'qwen2'
      ? [['attn_q', 'attn_k', 'attn_v']]
      : [
          ['attn_q', 'attn_k', 'attn_v', 'attn_output'],
          ['ffn_gate', 'ffn_up', 'ffn_down'],
        ];
  for (const layer of counts.keys()) {
    const group = groups.find((each) => each.includes(layer)) ?? [];
    if (group.length > 0 && group.every((each) => counts.get(each) === blocks)) continue;
    const found = [...counts].map(([each, count]) => `${each} (${count} of ${blocks} blocks)`).join(', ');
    throw unsupportedContent(
      file,
      'unsupported-architecture',
      `${file} has biases on ${found} only; a ${family} model in Hugging Face format has them on ${groups.map((each) => each.join(', ')).join(', or on ')} of every block. ` +
        'Such a model cannot be converted.',
    );
  }
  return { attention: counts.has('attn_q'), mlp: counts.has('ffn_gate') };
}

/**
 * The scaling as llama.cpp's loader reads it: a factor without a type is linear, older files have the key `rope.scale_linear` for it, and without a factor nothing is scaled.
 */
function metadataScaling(model: GgufModel, family: string, read: (key: string) => number | undefined): Record<string, unknown> | null {
  const type = model.values.get(`${family}.rope.scaling.type`) ?? 'linear';
  if (type === 'none') return null;
  const factor = read('rope.scaling.factor') ?? read('rope.scale_linear') ?? 0;
  if (type === 'linear' && (factor === 0 || factor === 1)) return null;
  if (type === 'linear' && Number.isFinite(factor) && factor > 0) return { type: 'linear', rope_type: 'linear', factor };
  throw unsupportedContent(
    model.path,
    'unsupported-architecture',
    type === 'linear'
      ? `${model.path} scales rotary positions by the factor ${factor}, but a factor must be above 0. Convert the model to GGUF again.`
      : `${model.path} scales rotary positions by ${quoteName(String(type))}; only linear and Llama 3 scaling can be converted.`,
  );
}

/** What the two kinds of scaling may be together: the frequency factors of Llama 3 alone. */
function scalingOf(
  model: GgufModel,
  family: string,
  read: (key: string) => number | undefined,
  factors: Float32Array | undefined,
  theta: number,
  headSize: number,
) {
  const scaling = metadataScaling(model, family, read);
  if (!factors) return scaling;
  if (scaling === null) return llama3Scaling(factors, theta, headSize, model.path);
  throw unsupportedContent(
    model.path,
    'unsupported-architecture',
    `${model.path} scales rotary positions both by frequency factors and linearly, which config.json of Hugging Face cannot express.`,
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
