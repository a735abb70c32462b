/** Tensor names of Llama-like models in GGUF and in Hugging Face. */

const outer: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};

const inner: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** `blk.3.attn_q.weight` becomes `model.layers.3.self_attn.q_proj.weight`; undefined for names that Llama does not have. */
export function huggingFaceName(ggufName: string): string | undefined {
  if (Object.hasOwn(outer, ggufName)) return outer[ggufName];
  const match = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(ggufName);
  const module = match && Object.hasOwn(inner, match[2] as string) ? inner[match[2] as string] : undefined;
  return match && module ? `model.layers.${match[1]}.${module}.${match[3]}` : undefined;
}

/** The inverse of `huggingFaceName`. */
export function ggufName(name: string): string | undefined {
  const whole = Object.entries(outer).find(([, huggingFace]) => huggingFace === name)?.[0];
  const match = /^model\.layers\.(\d+)\.([\w.]+)\.(weight|bias)$/.exec(name);
  const module = match && Object.entries(inner).find(([, huggingFace]) => huggingFace === match[2])?.[0];
  return whole ?? (match && module ? `blk.${match[1]}.${module}.${match[3]}` : undefined);
}
