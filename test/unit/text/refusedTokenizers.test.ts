import { expect, test } from 'vitest';
import { Encoder } from '../../../src/engine/text/encoding/encoder';
import { parseTokenizer } from '../../../src/engine/text/tokenizer';
import { LoomweightError } from '../../../src/protocol/errors';

const model = { type: 'WordLevel', unk_token: '<unk>', vocab: { '<unk>': 0, a: 1 } };
const merged = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] };

/** The error by which a file is refused, at the latest for the text `ac`. */
function refusal(file: Readonly<Record<string, unknown>>): LoomweightError | undefined {
  try {
    new Encoder({ model, ...file }).encode('ac');
    return undefined;
  } catch (error) {
    if (error instanceof LoomweightError) return error;
    throw error;
  }
}

test.for<readonly [name: string, file: Readonly<Record<string, unknown>>, words: RegExp]>([
  ['dropout', { model: { ...merged, dropout: 0.1 } }, /dropout 0\.1/],
  ['a model of another kind', { model: { type: 'Characters', vocab: {} } }, /the model Characters/],
  [
    'a merge that continues nothing',
    { model: { ...merged, continuing_subword_prefix: '##' } },
    /a merge with "b", which does not start with the prefix "##" of continuations/,
  ],
  ['a model without a type', { model: { vocab: { a: 1 } } }, /a model without a type/],
  ['the normaliser of SentencePiece', { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AA==' } }, /the normaliser Precompiled/],
  ['a member of Object', { normalizer: { type: 'constructor' } }, /the normaliser constructor/],
  ['scripts', { pre_tokenizer: { type: 'UnicodeScripts' } }, /the pre-tokeniser UnicodeScripts/],
  ['a split behaviour', { pre_tokenizer: { type: 'Punctuation', behavior: 'Halved' } }, /split behaviour "Halved"/],
  ['an atomic group', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(?>a|ab)c' }, behavior: 'Isolated' } }, /an atomic group/],
  ['options', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(?x) a b' }, behavior: 'Isolated' } }, /a group with options/],
  [
    'a possessive group',
    { pre_tokenizer: { type: 'Split', pattern: { Regex: '(?:ab|a)++b' }, behavior: 'Isolated' } },
    /possessive quantifier of a group/,
  ],
  ['a back reference', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a)\\1' }, behavior: 'Isolated' } }, /a back reference/],
  [
    'an added token with another id',
    { added_tokens: [{ id: 5, content: 'a' }] },
    /the id 5 for the added token "a", whose id in the vocabulary is 1/,
  ],
])('%s is refused by its name', ([, file, words]) => {
  const error = refusal(file);
  expect(error).toMatchObject({ code: 'unsupported' });
  expect(error?.message).toMatch(words);
});

test.for<readonly [name: string, file: Readonly<Record<string, unknown>>, words: RegExp]>([
  ['no model', { model: null }, /an object for model/],
  ['a merge of unknown tokens', { model: { ...merged, merges: ['a c'] } }, /tokens of the vocabulary for model\.merges, got "c"/],
  ['a merge of three', { model: { ...merged, merges: ['a b c'] } }, /pairs of tokens/],
  ['ids that are no numbers', { model: { ...model, vocab: { a: 'x' } } }, /whole numbers/],
  ['a word outside a vocabulary without an unknown token', { model: { ...model, unk_token: '[UNK]' } }, /the unknown token '\[UNK\]'/],
  ['no list', { pre_tokenizer: { type: 'Sequence' } }, /a list for pre_tokenizer\.pretokenizers/],
  [
    'pieces of length 0',
    { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'FixedLength', length: 0 }] } },
    /a positive whole number for pre_tokenizer\.pretokenizers\[0\]\.length, got 0/,
  ],
  ['a flag that is none', { added_tokens: [{ id: 1, content: 'a', lstrip: 'yes' }] }, /true or false for added_tokens\[0\]\.lstrip/],
])('%s is a damaged file', ([, file, words]) => {
  const error = refusal(file);
  expect(error).toMatchObject({ code: 'malformed-file' });
  expect(error?.message).toMatch(words);
});

test.for([
  ['empty', ''],
  ['empty object', '{}'],
  ['list', '[]'],
  ['null', 'null'],
  ['deep', `{"pre_tokenizer":${'{"type":"Sequence","pretokenizers":['.repeat(5000)}`],
])('a tokenizer embedded in a GGUF file that is %s is a damaged file', ([, text]) => {
  const parse = () => parseTokenizer(new Map([['tokenizer.json', text as string]]), 'model.gguf');
  expect(parse).toThrow(LoomweightError);
  expect(parse).toThrow(/model\.gguf|tokenizer\.json/);
});

test('a long text without a pre-tokeniser is one word, and takes a time near linear in its length', () => {
  const encoder = new Encoder({ model: merged });
  const time = (length: number): number => {
    const started = process.cpuUsage();
    expect(encoder.encode('ab'.repeat(length))).toHaveLength(length);
    return process.cpuUsage(started).user / 1000;
  };
  time(10_000);
  expect(time(400_000)).toBeLessThan(100 * Math.max(5, time(20_000)));
});
