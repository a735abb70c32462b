import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DType } from '../../src/protocol/dtypes';
import { numberToFloat16 } from '../../src/common/halfFloat';
import { roundHalfToEven } from './roundHalfToEven';
import { decodeToFloat32, encodeFromFloat32 } from '../../src/engine/formats/decode';
import { openContainer } from '../../src/engine/models/openContainer';
import { writeGguf, type GgufField, type GgufTensor } from './ggufWriter';

/** The bundled model's folder. */
export const loomBase = path.join(import.meta.dirname, '..', '..', 'media', 'samples', 'loom-base');

const names: readonly (readonly [string, string])[] = [
  ['model.embed_tokens', 'token_embd'],
  ['model.norm', 'output_norm'],
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
];

/**
 * loom-base as llama.cpp's converter would write it: q and k rows interleaved within each head, norms in float32, matrices in
 * `dtype` (float16, q8_0 or q4_0; rows whose length is not a multiple of 32 stay float16), vocabulary and merges as metadata.
 */
export async function loomBaseAsGguf(dtype: 'float16' | 'q8_0' | 'q4_0'): Promise<Uint8Array> {
  const container = await openContainer(loomBase);
  const tensors: GgufTensor[] = [];
  for (const entry of container.tensors.values()) {
    const bytes = await container.read(entry.name);
    const values = decodeToFloat32(entry.dtype, bytes);
    const heads = /q_proj/.test(entry.name) ? 8 : /k_proj/.test(entry.name) ? 4 : undefined;
    const ordered = heads === undefined ? values : interleave(values, entry.shape[0] as number, heads);
    const [pattern, target] = names.find(([hugging]) => entry.name.includes(hugging)) as readonly [string, string];
    void pattern;
    const name = entry.name.replace(/^model\.layers\.(\d+)\..*/, `blk.$1.${target}.weight`);
    const stored: DType = entry.shape.length < 2 ? 'float32' : (entry.shape.at(-1) as number) % 32 !== 0 ? 'float16' : dtype;
    const finalName = name === entry.name ? `${target}.weight` : name;
    tensors.push({ name: finalName, dtype: stored, shape: entry.shape, bytes: store(stored, ordered) });
  }
  await container.close();
  return writeGguf(metadata(), tensors);
}

function metadata(): Readonly<Record<string, GgufField>> {
  const tokenizer = JSON.parse(readFileSync(path.join(loomBase, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number>; merges: [string, string][] };
  };
  const tokens = Object.entries(tokenizer.model.vocab)
    .sort((a, b) => a[1] - b[1])
    .map(([token]) => token);
  return {
    'general.architecture': { text: 'llama' },
    'general.name': { text: 'loom-base' },
    'llama.block_count': { uint32: 4 },
    'llama.context_length': { uint32: 512 },
    'llama.embedding_length': { uint32: 256 },
    'llama.feed_forward_length': { uint32: 688 },
    'llama.attention.head_count': { uint32: 8 },
    'llama.attention.head_count_kv': { uint32: 4 },
    'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
    'llama.rope.freq_base': { float32: 10000 },
    'llama.rope.dimension_count': { uint32: 32 },
    'tokenizer.ggml.model': { text: 'gpt2' },
    'tokenizer.ggml.pre': { text: 'gpt-2' },
    'tokenizer.ggml.tokens': { texts: tokens },
    'tokenizer.ggml.token_type': { int32s: tokens.map((_, id) => (id < 2 ? 3 : 1)) },
    'tokenizer.ggml.merges': { texts: tokenizer.model.merges.map((pair) => pair.join(' ')) },
    'tokenizer.ggml.bos_token_id': { uint32: 0 },
    'tokenizer.ggml.eos_token_id': { uint32: 1 },
    'tokenizer.ggml.add_bos_token': { bool: true },
  };
}

/** W.reshape(heads, 2, half, columns).swapaxes(1, 2), as llama.cpp's converter does. */
function interleave(values: Float32Array, rows: number, heads: number): Float32Array {
  const columns = values.length / rows;
  const half = rows / heads / 2;
  const out = new Float32Array(values.length);
  for (let head = 0; head < heads; head += 1)
    for (let side = 0; side < 2; side += 1)
      for (let j = 0; j < half; j += 1) {
        const from = head * half * 2 + side * half + j;
        const to = head * half * 2 + j * 2 + side;
        out.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
      }
  return out;
}

function store(dtype: DType, values: Float32Array): Uint8Array {
  if (dtype !== 'q8_0' && dtype !== 'q4_0') return encodeFromFloat32(dtype, values);
  const blockBytes = dtype === 'q8_0' ? 34 : 18;
  const out = Buffer.alloc((values.length / 32) * blockBytes);
  for (let block = 0; block < values.length / 32; block += 1)
    packBlock(dtype, values.subarray(block * 32, block * 32 + 32), out, block * blockBytes);
  return out;
}

function packBlock(dtype: 'q8_0' | 'q4_0', values: Float32Array, out: Buffer, at: number): void {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  const scale = dtype === 'q8_0' ? Math.abs(extreme) / 127 : extreme / -8;
  out.writeUInt16LE(numberToFloat16(scale), at);
  const code = (i: number) => (scale === 0 ? 0 : roundHalfToEven((values[i] as number) / scale));
  for (let i = 0; i < 32 && dtype === 'q8_0'; i += 1) out.writeInt8(code(i), at + 2 + i);
  for (let i = 0; i < 16 && dtype === 'q4_0'; i += 1) out[at + 2 + i] = Math.min(15, code(i) + 8) | (Math.min(15, code(i + 16) + 8) << 4);
}
