import path from 'node:path';
import { expect, test } from 'vitest';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { llamaTokenizer } from '../../../../src/engine/formats/gguf/llamaTokenizer';
import type { GgufValue } from '../../../../src/engine/formats/gguf/metadata';
import { openGguf } from '../../../../src/engine/formats/gguf/openGguf';
import { TextTokenizer } from '../../../../src/engine/text/tokenizer';
import { readTestJson } from '../../../support/formatFiles';

// Made by test/golden/make/llamaGguf.py with transformers, tokenizers, gguf and sentencepiece.
const golden = readTestJson<{
  texts: readonly string[];
  sentencePiece: {
    file: string;
    transformers: readonly (readonly number[])[];
    transformersPrefixed: readonly (readonly number[])[];
    sentencepiece: readonly (readonly number[])[];
    withSpecial: readonly number[];
  };
  byteLevel: readonly {
    file: string;
    rule: string;
    transformers: readonly (readonly number[])[];
    published: readonly (readonly number[])[];
  }[];
}>('golden/formats/llamaGguf.json');
const fixture = (file: string) => path.join(import.meta.dirname, '..', '..', '..', 'fixtures', 'gguf', file);

type Json = Record<string, unknown>;

async function valuesOf(file: string): Promise<Map<string, GgufValue>> {
  const container = await openGguf(fixture(file));
  await container.close();
  return new Map(container.values);
}

function rebuilt(values: ReadonlyMap<string, GgufValue>): { readonly json: Json; readonly tokenizer: TextTokenizer } {
  const result = llamaTokenizer(values);
  if ('problem' in result) throw new Error(result.problem);
  const json = JSON.parse(result.files.get('tokenizer.json') ?? '') as Json;
  return { json, tokenizer: new TextTokenizer(json) };
}

const { sentencePiece } = golden;
test('SentencePiece: token ids of every text match the SentencePiece library', async () => {
  const { tokenizer } = rebuilt(await valuesOf(sentencePiece.file));
  let compared = 0;
  for (const [i, text] of golden.texts.entries()) {
    // The library takes special tokens in a text for text; tokenizer.json recognises them.
    if (/<\/?s>/.test(text)) continue;
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(sentencePiece.sentencepiece[i]);
    compared += 1;
  }
  expect(compared).toBeGreaterThan(25);
});

test('SentencePiece: token ids match transformers, including special tokens in a text', async () => {
  const { tokenizer } = rebuilt(await valuesOf(sentencePiece.file));
  for (const [i, text] of golden.texts.entries()) {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(sentencePiece.transformersPrefixed[i]);
    // Its Llama class leaves out the space in front of a text that begins with one; there the SentencePiece library decides.
    if (!/^[ ▁]|<s>/.test(text)) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(sentencePiece.transformers[i]);
  }
});

test('SentencePiece: text is restored, the beginning is marked, and the mark can be disabled', async () => {
  const values = await valuesOf(sentencePiece.file);
  const { tokenizer, json } = rebuilt(values);
  for (const text of golden.texts)
    if (text !== '' && !/<\/?s>|▁/.test(text)) expect(tokenizer.decode(tokenizer.encode(text)), JSON.stringify(text)).toBe(text);
  expect(json['post_processor']).toMatchObject({ single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }] });
  expect([1, ...tokenizer.encode('The weaver')]).toEqual(sentencePiece.withSpecial);
  values.set('tokenizer.ggml.add_bos_token', false);
  expect(rebuilt(values).json['post_processor']).toBeNull();
  values.set('tokenizer.ggml.add_eos_token', true);
  expect(rebuilt(values).json['post_processor']).toMatchObject({ single: [{ Sequence: { id: 'A' } }, { SpecialToken: { id: '</s>' } }] });
});

test('SentencePiece without a space in front', async () => {
  const values = await valuesOf(sentencePiece.file);
  const usual = rebuilt(values).tokenizer;
  values.set('tokenizer.ggml.add_space_prefix', false);
  const { tokenizer } = rebuilt(values);
  expect(tokenizer.encode(' The weaver')).toEqual(usual.encode('The weaver'));
  expect(tokenizer.decode(tokenizer.encode(' The weaver'))).toBe(' The weaver');
});

for (const [name, change, problem] of [
  ['no scores', (values: Map<string, GgufValue>) => values.delete('tokenizer.ggml.scores'), /not have a score for every token/],
  ['too few scores', (values: Map<string, GgufValue>) => values.set('tokenizer.ggml.scores', [1, 2]), /not have a score for every token/],
  ['equal scores', (values: Map<string, GgufValue>) => values.set('tokenizer.ggml.scores', Array(460).fill(0) as number[]), /same score/],
  ['character replacements', (values: Map<string, GgufValue>) => values.set('tokenizer.ggml.precompiled_charsmap', [1]), /replacements/],
  ['a merge of three', (values: Map<string, GgufValue>) => values.set('tokenizer.ggml.merges', ['a b c']), /not a pair of tokens/],
  ['a token twice', (values: Map<string, GgufValue>) => values.set('tokenizer.ggml.tokens', ['a', 'a']), /repeats a token/],
  ['an endless token', (values: Map<string, GgufValue>) => lengthen(values), /at most 512/],
] as const) {
  test(`SentencePiece with ${name} is refused with the reason`, async () => {
    const values = await valuesOf(sentencePiece.file);
    change(values);
    expect(llamaTokenizer(values)).toMatchObject({ problem: expect.stringMatching(problem) as unknown });
  });
}

function lengthen(values: Map<string, GgufValue>): void {
  const tokens = [...(values.get('tokenizer.ggml.tokens') as readonly string[])];
  tokens[459] = 'x'.repeat(1e6);
  values.set('tokenizer.ggml.tokens', tokens);
}

for (const { file, rule, transformers, published } of golden.byteLevel) {
  test(`byte-level BPE split as ${rule}: token ids of every text match the Python library`, async () => {
    const { tokenizer } = rebuilt(await valuesOf(file));
    for (const [i, text] of golden.texts.entries()) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(published[i]);
      // Reading a GGUF file, transformers leaves out Qwen2's composition of characters (NFC), which its own class has.
      if (rule !== 'qwen2' || text === text.normalize('NFC')) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(transformers[i]);
    }
  });
}

test('weights without a vocabulary open with a warning', async () => {
  const view = await openContainer(fixture('tiny-f16.gguf'), { asHuggingFace: true });
  expect(view.diagnostics).toMatchObject([{ code: 'tokenizer-unsupported', message: expect.stringContaining('no tokenizer') as unknown }]);
  await view.close();
});
