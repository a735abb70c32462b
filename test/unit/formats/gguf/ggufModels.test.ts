import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { compressModel } from '../../../../src/engine/compress/compressModel';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { openSource } from '../../../../src/engine/models/modelSource';
import { test } from '../../../support/fixtures';
import { failureOf, writeInto } from '../../../support/formatFiles';
import { workContext } from '../../../support/workContext';
import { writeGguf, type GgufField, type GgufTensor } from '../../../support/ggufWriter';

const hidden = 8;
const inner = 12;

const zeros = (name: string, ...shape: number[]): GgufTensor => ({
  name,
  dtype: 'float32',
  shape,
  bytes: new Uint8Array(4 * shape.reduce((product, length) => product * length, 1)),
});

/** A model of two blocks, all zero. */
function model(more: readonly GgufTensor[] = [], without: RegExp = /^$/): readonly GgufTensor[] {
  const blocks = [0, 1].flatMap((block) => [
    zeros(`blk.${block}.attn_norm.weight`, hidden),
    ...['q', 'k', 'v', 'output'].map((each) => zeros(`blk.${block}.attn_${each}.weight`, hidden, hidden)),
    zeros(`blk.${block}.ffn_norm.weight`, hidden),
    zeros(`blk.${block}.ffn_gate.weight`, inner, hidden),
    zeros(`blk.${block}.ffn_up.weight`, inner, hidden),
    zeros(`blk.${block}.ffn_down.weight`, hidden, inner),
  ]);
  const all = [zeros('token_embd.weight', 16, hidden), zeros('output_norm.weight', hidden), ...blocks, ...more];
  return all.filter(({ name }) => !without.test(name));
}

const fields: Readonly<Record<string, GgufField>> = {
  'general.architecture': { text: 'llama' },
  'llama.block_count': { uint32: 2 },
  'llama.context_length': { uint32: 64 },
  'llama.embedding_length': { uint32: hidden },
  'llama.feed_forward_length': { uint32: inner },
  'llama.attention.head_count': { uint32: 2 },
  'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
};

const biases = (...layers: string[]) =>
  layers.flatMap((layer) =>
    [0, 1].map((block) => zeros(`blk.${block}.${layer}.bias`, layer.startsWith('ffn_') && layer !== 'ffn_down' ? inner : hidden)),
  );

const yarn = (more: Readonly<Record<string, GgufField>> = {}): Readonly<Record<string, GgufField>> => ({
  'llama.rope.scaling.type': { text: 'yarn' },
  'llama.rope.scaling.factor': { float32: 4 },
  'llama.rope.scaling.original_context_length': { uint32: 16 },
  ...more,
});

// llama.cpp: the type defaults to linear, the factor falls back to rope.scale_linear, and 0 or none means no scaling.
test.for<readonly [what: string, more: Readonly<Record<string, GgufField>>, scaling: unknown]>([
  ['nothing', {}, null],
  ['the old key', { 'llama.rope.scale_linear': { float32: 4 } }, { type: 'linear', rope_type: 'linear', factor: 4 }],
  ['a factor without a type', { 'llama.rope.scaling.factor': { float32: 2 } }, { type: 'linear', rope_type: 'linear', factor: 2 }],
  [
    'both keys',
    { 'llama.rope.scaling.factor': { float32: 2 }, 'llama.rope.scale_linear': { float32: 4 } },
    { type: 'linear', rope_type: 'linear', factor: 2 },
  ],
  [
    'a type and the old key',
    { 'llama.rope.scaling.type': { text: 'linear' }, 'llama.rope.scale_linear': { float32: 8 } },
    { type: 'linear', rope_type: 'linear', factor: 8 },
  ],
  ['the type none', { 'llama.rope.scaling.type': { text: 'none' }, 'llama.rope.scaling.factor': { float32: 4 } }, null],
  ['a type without a factor', { 'llama.rope.scaling.type': { text: 'linear' } }, null],
  ['a factor of 0', { 'llama.rope.scaling.factor': { float32: 0 } }, null],
  ['a factor of 1', { 'llama.rope.scale_linear': { float32: 1 } }, null],
  [
    'YaRN as converters write it',
    yarn({ 'llama.rope.scaling.yarn_ext_factor': { float32: 1 }, 'llama.rope.scaling.yarn_log_multiplier': { float32: 0 } }),
    { type: 'yarn', rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
  ],
  [
    // llama_context_default_params: yarn_ext_factor -1, which llama_context replaces by 1 for YaRN.
    'YaRN with the default of llama.cpp for its extrapolation',
    yarn({ 'llama.rope.scaling.yarn_ext_factor': { float32: -1 } }),
    { type: 'yarn', rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
  ],
  [
    'YaRN with all its numbers',
    yarn({
      'llama.rope.scaling.attn_factor': { float32: 1.5 },
      'llama.rope.scaling.yarn_beta_fast': { float32: 24 },
      'llama.rope.scaling.yarn_beta_slow': { float32: 2 },
    }),
    {
      type: 'yarn',
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 16,
      // 1.5 (0.1 ln 4 + 1), as transformers 5 takes it over and llama.cpp computes it.
      attention_factor: expect.closeTo(1.707944154167984, 14) as number,
      beta_fast: 24,
      beta_slow: 2,
    },
  ],
])('rotary scaling with %s', async ([, more, scaling], { folder }) => {
  const container = await openContainer(writeInto(folder, 'model.gguf', writeGguf({ ...fields, ...more }, model())), {
    asHuggingFace: true,
  });
  expect(container.config?.['rope_scaling']).toEqual(scaling);
  await container.close();
});

test.for<readonly [what: string, file: string, more: Readonly<Record<string, GgufField>>, tensors: readonly GgufTensor[], words: RegExp]>([
  ['a negative factor', 'model', { 'llama.rope.scaling.factor': { float32: -2 } }, model(), /factor -2, but a factor must be above 0/],
  ['longrope', 'model', { 'llama.rope.scaling.type': { text: 'longrope' } }, model(), /rotary positions by "longrope"/],
  [
    'YaRN without its numbers',
    'model',
    { 'llama.rope.scaling.type': { text: 'yarn' } },
    model(),
    /by YaRN, but its metadata lack llama\.rope\.scaling\.factor and llama\.rope\.scaling\.original_context_length/,
  ],
  [
    'YaRN without the original context',
    'model',
    { 'llama.rope.scaling.type': { text: 'yarn' }, 'llama.rope.scaling.factor': { float32: 4 } },
    model(),
    /lack llama\.rope\.scaling\.original_context_length\./,
  ],
  ['YaRN with a negative factor', 'model', yarn({ 'llama.rope.scaling.factor': { float32: -4 } }), model(), /scaling\.factor is -4/],
  [
    'YaRN with a part of its extrapolation',
    'model',
    yarn({ 'llama.rope.scaling.yarn_ext_factor': { float32: 0.5 } }),
    model(),
    /with llama\.rope\.scaling\.yarn_ext_factor 0\.5, which config\.json of Hugging Face cannot express/,
  ],
  [
    'YaRN with a negative logarithmic multiplier',
    'model',
    yarn({ 'llama.rope.scaling.yarn_log_multiplier': { float32: -1 } }),
    model(),
    /with llama\.rope\.scaling\.yarn_log_multiplier -1, which/,
  ],
  [
    'a negative base',
    'model',
    { 'llama.rope.freq_base': { float32: -5 } },
    model(),
    /a positive number for 'llama\.rope\.freq_base', got -5/,
  ],
  [
    'linear and frequency factors',
    'model',
    { 'llama.rope.scaling.factor': { float32: 2 } },
    model([zeros('rope_freqs.weight', 2)]),
    /both by frequency factors and by "linear"/,
  ],
  [
    'one file of a split model',
    'model',
    { 'split.count': { uint32: 3 }, 'split.no': { uint32: 0 } },
    model(),
    /file 1 of 3 of a split model.*llama-gguf-split --merge/,
  ],
  [
    'the name of a later file',
    'big-00002-of-00003',
    {},
    [zeros('blk.1.attn_norm.weight', hidden)],
    /file 2 of 3 of a split model.*big-00001-of-00003\.gguf/,
  ],
  ['a vocabulary', 'model', { 'tokenizer.ggml.tokens': { texts: ['a', 'b'] } }, [], /only a vocabulary, no weights/],
  ['metadata', 'model', {}, [], /no weights, only metadata/],
  ['an adapter', 'model', { 'general.type': { text: 'adapter' } }, model(), /an adapter \(LoRA\)/],
  [
    'biases on q, k and v',
    'model',
    {},
    model(biases('attn_q', 'attn_k', 'attn_v')),
    /biases on attn_q \(2 of 2 blocks\), attn_k .*cannot be converted/,
  ],
  ['biases on some blocks', 'model', {}, model(biases('attn_q', 'attn_k', 'attn_v', 'attn_output').slice(1)), /attn_q \(1 of 2 blocks\)/],
  [
    'a missing weight',
    'model',
    {},
    model([], /blk\.1\.ffn_up/),
    /metadata of .* require 'blk\.1\.ffn_up\.weight' with shape \[12, 8\], but there is no such tensor/,
  ],
  [
    'a weight of another shape',
    'model',
    {},
    model([zeros('output.weight', 16, 4)]),
    /require 'output\.weight' with shape \[16, 8\], but it has shape \[16, 4\]/,
  ],
  ['no embedding', 'model', {}, model([], /token_embd/), /no llama\.vocab_size/],
  ['no heads', 'model', { 'llama.attention.head_count': { uint32: 0 } }, model(), /'llama\.attention\.head_count', got 0/],
  [
    'an odd head',
    'model',
    { 'llama.attention.key_length': { uint32: 3 } },
    model(),
    /an even number for 'llama\.attention\.key_length', got 3/,
  ],
  ['too many blocks', 'model', { 'llama.block_count': { uint32: 100_000 } }, model(), /at most 10000 for 'llama\.block_count', got 100000/],
])('%s is refused by what the user has', async ([, file, more, tensors, words], { folder }) => {
  const path = writeInto(folder, `${file}.gguf`, writeGguf({ ...fields, ...more }, tensors));
  const { message, code } = await failureOf(() => openSource(path));
  expect(code).toMatch(/^(unsupported|malformed-file)$/);
  expect(message).toMatch(words);
  expect(message).toContain(path);
  expect(message.replaceAll(path, '')).not.toMatch(/config\.json (needs|requires)|Correct config\.json|Use config/);
  // It can still be looked at.
  await (await openContainer(path)).close();
});

test('biases on all layers of an attention and of an MLP are those of Llama', async ({ folder }) => {
  const all = biases('attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down');
  const source = await openSource(writeInto(folder, 'model.gguf', writeGguf(fields, model(all))));
  expect(source.decoder?.config.biases).toEqual({ queryKeyValue: true, output: true, mlp: true });
  await source.container.close();
});

test('a YaRN model, which cannot be run here, is converted and archived, with a note in words of the file', async ({ folder, runtime }) => {
  const path = writeInto(folder, 'model.gguf', writeGguf({ ...fields, ...yarn() }, model()));
  const spec = { kind: 'compress', model: path, method: 'none', parameters: {} } as const;
  const out = (format: string) => join(folder, format);
  for (const format of ['hf', 'archive'] as const) {
    const report = await compressModel({ ...spec, format, out: out(format) }, workContext(runtime));
    expect(report.verification).toMatchObject({ passed: true, scope: 'bytes' });
    expect(report.notes.join('\n')).toContain(
      `Only bytes are checked: The metadata of ${path} set rotary scaling to "yarn", but only none`,
    );
    const config = JSON.parse(readFileSync(join(out(format), 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config['rope_scaling']).toEqual({ type: 'yarn', rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 });
    expect(config['max_position_embeddings']).toBe(64);
  }
  const { message } = await failureOf(() => compressModel({ ...spec, format: 'onnx', out: out('onnx') }, workContext(runtime)));
  expect(message).toMatch(/needs a graph\. The metadata of .* set rotary scaling to "yarn"/);
});
