import type { TensorRole } from '../../protocol/model';

/** Common names in Hugging Face, GGUF and ONNX exports; the first match wins. Tested on the name without `.weight`. */
const patterns: readonly (readonly [RegExp, TensorRole])[] = [
  [/(^|\.)bias$/, 'bias'],
  [/(norm|layernorm|ln_?\w*|_norm)$/i, 'norm'],
  [/(embed_tokens|token_embd|wte|wpe|word_embeddings|embeddings?)$/i, 'embedding'],
  [/(^|\.)(lm_head|output|embed_out)$/i, 'head'],
  [/(q_proj|attn_q|query|wq)$/i, 'query'],
  [/(k_proj|attn_k|key|wk)$/i, 'key'],
  [/(v_proj|attn_v|value|wv)$/i, 'value'],
  [/(o_proj|attn_output|out_proj|wo)$/i, 'attention-output'],
  [/(gate_proj|ffn_gate)$/i, 'gate'],
  [/(up_proj|ffn_up)$/i, 'up'],
  [/(down_proj|ffn_down)$/i, 'down'],
];

/**
 * The likely role of a tensor of an unknown architecture, from its name and number of axes. A guess for display only: compression uses the
 * architecture.
 */
export function roleOfName(name: string, shape: readonly number[]): TensorRole {
  const stem = name.replace(/^onnx::/, '').replace(/\.weight$/, '');
  const role = patterns.find(([pattern]) => pattern.test(stem))?.[1];
  // A vector is not a matrix of a layer, whatever its name.
  if (role !== undefined && (shape.length >= 2 || role === 'bias' || role === 'norm')) return role;
  if (shape.length >= 3 && shape.length <= 5 && /(conv|weight|kernel)/i.test(name)) return 'convolution';
  if (shape.length === 2 && /(weight|kernel|proj|fc|linear|matmul|dense)/i.test(name)) return 'linear';
  return 'other';
}

/**
 * The block under which the tree shows a tensor: the name up to its first number (`model.layers.0`, `blk.3`), otherwise everything before
 * the module of the tensor (`model.norm.weight` is in `model`), otherwise nothing.
 */
export function blockOfName(name: string): string {
  const separator = name.includes('.') ? '.' : '/';
  const parts = name.split(separator);
  const number = parts.findIndex((part, i) => i > 0 && /^\d+$/.test(part));
  if (number >= 0) return parts.slice(0, number + 1).join(separator);
  return parts.slice(0, Math.max(0, parts.length - 2)).join(separator);
}
