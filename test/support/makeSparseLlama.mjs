/**
 * Writes a Llama of 7B shape as sparse shards: the first values of every row of the embedding, the first rows of every matrix and whole norms are random
 * (so that every block does something), the rest are holes. 13.5 GB by their lengths, 250 MB on a disk that knows holes. Usage: node test/support/makeSparseLlama.mjs FOLDER [LAYERS [HIDDEN [INTERMEDIATE [VOCABULARY]]]]
 */
import { closeSync, copyFileSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder, layers = '32', hidden = '4096', intermediate = '11008', vocabulary = '32000'] = process.argv.slice(2);
if (!folder) throw new Error('Usage: node makeSparseLlama.mjs FOLDER [LAYERS [HIDDEN [INTERMEDIATE [VOCABULARY]]]]');
const [blocks, width, inner, tokens] = [layers, hidden, intermediate, vocabulary].map(Number);
const shards = Math.max(2, Math.ceil(blocks / 6));

const tensors = [{ name: 'model.embed_tokens.weight', shape: [tokens, width], shard: 0 }];
for (let block = 0; block < blocks; block += 1) {
  const shard = Math.floor((block * shards) / blocks);
  const add = (name, shape) => tensors.push({ name: `model.layers.${block}.${name}.weight`, shape, shard });
  for (const part of ['q', 'k', 'v', 'o']) add(`self_attn.${part}_proj`, [width, width]);
  add('mlp.gate_proj', [inner, width]);
  add('mlp.up_proj', [inner, width]);
  add('mlp.down_proj', [width, inner]);
  add('input_layernorm', [width]);
  add('post_attention_layernorm', [width]);
}
tensors.push({ name: 'model.norm.weight', shape: [width], shard: shards - 1 });
tensors.push({ name: 'lm_head.weight', shape: [tokens, width], shard: shards - 1 });

mkdirSync(folder, { recursive: true });
const weightMap = {};
let total = 0;
let seed = 1;
/** Values or rows that are filled. */
const band = Math.min(64, width);
/** float16 of magnitude 2^-6 to 2^-5 with either sign. */
function values(count) {
  const bytes = Buffer.alloc(count * 2);
  for (let index = 0; index < count; index += 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt16LE(0x2400 | (seed >>> 22) | (seed & (1 << 20) ? 0x8000 : 0), index * 2);
  }
  return bytes;
}
for (let shard = 0; shard < shards; shard += 1) {
  const file = `model-${String(shard + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`;
  const members = tensors.filter((tensor) => tensor.shard === shard);
  const header = { __metadata__: { format: 'pt' } };
  let position = 0;
  for (const { name, shape } of members) {
    const bytes = shape.reduce((product, length) => product * length, 2);
    header[name] = { dtype: 'F16', shape, data_offsets: [position, position + bytes] };
    weightMap[name] = file;
    position += bytes;
  }
  total += position;
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const handle = openSync(path.join(folder, file), 'w');
  writeSync(handle, Buffer.concat([length, padded]));
  const start = 8 + padded.length;
  ftruncateSync(handle, start + position);
  for (const { name, shape } of members) {
    const position = start + header[name].data_offsets[0];
    const [rows, columns = 1] = shape;
    // Norms are 1. Of the embedding every row gets some values, whichever tokens are looked up; of other matrices the first rows are whole.
    if (shape.length === 1) writeSync(handle, Buffer.from(new Uint16Array(rows).fill(0x3c00).buffer), 0, rows * 2, position);
    else if (name.includes('embed'))
      for (let row = 0; row < rows; row += 1) writeSync(handle, values(band), 0, band * 2, position + row * columns * 2);
    else
      for (let row = 0; row < Math.min(band, rows); row += 1)
        writeSync(handle, values(columns), 0, columns * 2, position + row * columns * 2);
  }
  closeSync(handle);
}
writeFileSync(
  path.join(folder, 'model.safetensors.index.json'),
  JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }),
);
const heads = width / 128 >= 1 ? width / 128 : 1;
writeFileSync(
  path.join(folder, 'config.json'),
  JSON.stringify({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    vocab_size: tokens,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    hidden_act: 'silu',
    torch_dtype: 'float16',
    bos_token_id: 1,
    eos_token_id: 2,
  }),
);
const sample = fileURLToPath(new URL('../../media/samples/loom-base', import.meta.url));
for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(path.join(sample, name), path.join(folder, name));
console.log(JSON.stringify({ folder, shards, tensors: tensors.length, bytes: total }));
