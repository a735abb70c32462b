import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { DType } from '../../../../src/protocol/dtypes';
import type { TensorContainer } from '../../../../src/engine/formats/container';
import { decodeToFloat32, encodeFromFloat32 } from '../../../../src/engine/formats/decode';
import { openGguf } from '../../../../src/engine/formats/gguf/openGguf';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { temporaryFolder } from '../../../support/fixtures';
import { failureOf, readTestJson, writeInto } from '../../../support/formatFiles';
import { writeGguf } from '../../../support/ggufWriter';
import { loomBase, loomBaseAsGguf } from '../../../support/loomGguf';

const folder = temporaryFolder();

// Made by test/golden/make/formats.py with the Python library gguf.
const blocks = readTestJson<{ cases: readonly { dtype: DType; bytes: string; values: readonly number[] }[] }>('golden/formats/blocks.json');
const small = Buffer.from(readTestJson<{ file: string }>('golden/formats/gguf.json').file, 'base64');

for (const { dtype, bytes, values } of blocks.cases) {
  test(`blocks of ${dtype} decode exactly as in the reference library`, () => {
    expect([...decodeToFloat32(dtype, new Uint8Array(Buffer.from(bytes, 'base64')))]).toEqual(values);
  });
}

test('a file of the reference writer: metadata of every type, tensors with offsets and shapes', async () => {
  const container = await openGguf(writeInto(folder, 'small.gguf', small));
  const { values } = container;
  expect(Object.fromEntries([...values].filter(([key]) => key.startsWith('test.')))).toEqual({
    'test.u8': 200,
    'test.i8': -5,
    'test.u16': 60000,
    'test.i16': -300,
    'test.u32': 4000000000,
    'test.i32': -70000,
    'test.f32': 0.5,
    'test.bool': true,
    'test.text': 'grüße',
    'test.u64': 2n ** 60n,
    'test.i64': -12,
    'test.f64': 0.1,
    'test.list': [1, 2, 3],
    'test.words': ['a', 'bc', ''],
  });
  const listed = [...container.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  expect(listed).toEqual([
    { name: 'plain', dtype: 'float32', shape: [2, 3] },
    { name: 'half', dtype: 'float16', shape: [2, 2, 2] },
    { name: 'packed', dtype: 'q4_0', shape: [3, 64] },
    { name: 'packed_k', dtype: 'q4_k', shape: [2, 256] },
  ]);
  expect([...decodeToFloat32('float32', await container.read('plain'))]).toEqual([0, 1, 2, 3, 4, 5]);
  const q4 = blocks.cases.find(({ dtype }) => dtype === 'q4_0');
  expect([...decodeToFloat32('q4_0', await container.read('packed'))]).toEqual(q4?.values);
  expect(() => decodeToFloat32('q4_k', new Uint8Array(144))).toThrow(/Use a GGUF file/);
  await container.close();
});

const valid = (patch: (bytes: Buffer) => void): Buffer => {
  const bytes = Buffer.from(small);
  patch(bytes);
  return bytes;
};
const two = (first: number, second: number) =>
  writeGguf({}, [
    { name: 'a', dtype: 'float32', shape: [first], bytes: new Uint8Array(64) },
    { name: second === 0 ? 'a' : 'b', dtype: 'float32', shape: [Math.max(1, second)], bytes: new Uint8Array(64) },
  ]);
for (const [name, bytes, diagnostic] of [
  ['an empty file', Buffer.alloc(0), 'empty-file'],
  ['a short file', small.subarray(0, 20), 'truncated'],
  ['another magic', valid((b) => b.writeUInt8(0, 1)), 'bad-magic'],
  ['version 1', valid((b) => b.writeUInt32LE(1, 4)), 'unknown-version'],
  ['big-endian', valid((b) => b.writeUInt32BE(3, 4)), 'big-endian'],
  ['2^40 tensors', valid((b) => b.writeBigUInt64LE(2n ** 40n, 8)), 'length-too-large'],
  ['2^60 metadata entries', valid((b) => b.writeBigUInt64LE(2n ** 60n, 16)), 'number-too-large'],
  ['a key of 2^50 bytes', valid((b) => b.writeBigUInt64LE(2n ** 50n, 24)), 'length-too-large'],
  ['a key that is no UTF-8', valid((b) => b.writeUInt8(0xff, 32)), 'invalid-utf8'],
  ['data cut off', small.subarray(0, small.length - 200), 'truncated'],
  ['metadata cut off', small.subarray(0, 200), 'length-too-large'],
  ['overlapping tensors', two(17, 16), 'overlapping-offsets'],
  ['a duplicate tensor', two(16, 0), 'duplicate-name'],
  ['a row that is no whole block', writeGguf({}, [{ name: 'a', dtype: 'q4_0', shape: [33], bytes: new Uint8Array(64) }]), 'size-mismatch'],
  [
    'a product beyond 2^53',
    writeGguf({}, [{ name: 'a', dtype: 'float32', shape: [2 ** 40, 2 ** 40], bytes: new Uint8Array(64) }]),
    'size-mismatch',
  ],
  ['an alignment of zero', writeGguf({ 'general.alignment': { uint32: 0 } }, []), 'invalid-alignment'],
  [
    'nine axes',
    writeGguf({}, [{ name: 'a', dtype: 'float32', shape: [1, 1, 1, 1, 1, 1, 1, 1, 1], bytes: new Uint8Array(4) }]),
    'too-many-axes',
  ],
] as const) {
  test(`${name}: ${diagnostic}`, async () => {
    const file = writeInto(folder, 'bad.gguf', bytes);
    const error = await failureOf(() => openGguf(file));
    expect(error.details).toMatchObject({ file, diagnostic });
    expect(['malformed-file', 'unsupported']).toContain(error.code);
  });
}

let original: TensorContainer;
beforeAll(async () => {
  original = await openContainer(loomBase);
});

test('loom-base in float16 is read bit for bit under its own names, whole and by ranges', async () => {
  const file = writeInto(folder, 'f16.gguf', await loomBaseAsGguf('float16'));
  const view = await openContainer(file, { asHuggingFace: true });
  expect([...view.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
  for (const { name, dtype, shape } of original.tensors.values()) {
    expect(view.tensors.get(name)?.shape).toEqual(shape);
    const stored = await view.read(name);
    const expected = await original.read(name);
    const values = decodeToFloat32(view.tensors.get(name)!.dtype, stored);
    expect(Buffer.from(encodeFromFloat32('float16', values)).equals(expected), name).toBe(true);
    const range = { offset: stored.length / 2 - 6, length: Math.min(1030, stored.length / 2) };
    expect(Buffer.from(await view.read(name, range)).equals(stored.subarray(range.offset, range.offset + range.length)), name).toBe(true);
    expect(dtype).toBe('float16');
  }
  await view.close();
});

test('config and tokenizer are rebuilt from the metadata', async () => {
  const file = writeInto(folder, 'meta.gguf', await loomBaseAsGguf('float16'));
  const view = await openContainer(file, { asHuggingFace: true });
  const { config = {}, generatedCompanions } = view;
  const written = original.config ?? {};
  for (const key of [
    'architectures',
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
    'head_dim',
    'vocab_size',
    'max_position_embeddings',
    'rope_theta',
    'rope_scaling',
    'tie_word_embeddings',
    'attention_bias',
    'bos_token_id',
    'eos_token_id',
  ])
    expect(config[key], key).toEqual(written[key]);
  expect(config['rms_norm_eps']).toBeCloseTo(1e-5, 10);
  expect(JSON.parse(generatedCompanions?.get('tokenizer.json') ?? '')).toEqual(
    JSON.parse(readFileSync(path.join(loomBase, 'tokenizer.json'), 'utf8')),
  );
  expect(JSON.parse(generatedCompanions?.get('tokenizer_config.json') ?? '')).toMatchObject({
    bos_token: '<s>',
    eos_token: '</s>',
    add_bos_token: true,
  });
  expect(view.diagnostics).toEqual([]);
  await view.close();
});

for (const [dtype, limit] of [
  ['q8_0', 1 / 127 / 2],
  ['q4_0', 1 / 8],
] as const) {
  test(`loom-base in ${dtype} is within half a step of each block (including the float16 scale)`, async () => {
    const view = await openContainer(writeInto(folder, `${dtype}.gguf`, await loomBaseAsGguf(dtype)), { asHuggingFace: true });
    const { name } = [...original.tensors.values()].find((entry) => entry.name.endsWith('layers.2.self_attn.q_proj.weight'))!;
    expect(view.tensors.get(name)?.dtype).toBe('float32');
    const got = decodeToFloat32('float32', await view.read(name));
    const expected = decodeToFloat32('float16', await original.read(name));
    for (let block = 0; block < got.length; block += 32) {
      const largest = Math.max(...expected.subarray(block, block + 32).map(Math.abs));
      for (let i = block; i < block + 32; i += 1)
        expect(Math.abs((got[i] as number) - (expected[i] as number))).toBeLessThanOrEqual(largest * (limit + 2 ** -10) + 1e-7);
    }
    const range = { offset: 4096, length: 260 };
    expect(Buffer.from(await view.read(name, range)).equals(Buffer.from(got.buffer, 4096, 260))).toBe(true);
    await view.close();
  });
}

test('another architecture is listed, but not shown under Hugging Face names', async () => {
  const file = writeInto(
    folder,
    'other.gguf',
    writeGguf({ 'general.architecture': { text: 'mamba' } }, [{ name: 'x', dtype: 'float32', shape: [2], bytes: new Uint8Array(8) }]),
  );
  const container = await openContainer(file, { asHuggingFace: true });
  expect(container.format).toBe('gguf');
  expect(container.config).toBeUndefined();
  await container.close();
});

test('a tokenizer that cannot be rebuilt exactly is a warning, never a guess', async () => {
  const fields = {
    'general.architecture': { text: 'llama' },
    'llama.block_count': { uint32: 0 },
    'llama.context_length': { uint32: 8 },
    'llama.embedding_length': { uint32: 2 },
    'llama.feed_forward_length': { uint32: 2 },
    'llama.attention.head_count': { uint32: 1 },
    'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
    'tokenizer.ggml.model': { text: 'llama' },
  } as const;
  const file = writeInto(
    folder,
    'spm.gguf',
    writeGguf(fields, [{ name: 'token_embd.weight', dtype: 'float32', shape: [1, 2], bytes: new Uint8Array(8) }]),
  );
  const view = await openContainer(file, { asHuggingFace: true });
  expect(view.diagnostics).toMatchObject([{ code: 'tokenizer-unsupported' }]);
  expect([...(view.generatedCompanions?.keys() ?? [])]).toEqual(['config.json']);
  await view.close();
});
