import type { TensorEntry } from '../container';
import { unsupportedContent } from '../malformed';
import type { GgufValue } from './metadata';
import { ropeScaling } from './ropeScaling';

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
    rope_scaling: ropeScaling(model, { family, read, theta, headSize, factors: ropeFactors }),
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
