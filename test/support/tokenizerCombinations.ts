import { createHash } from 'node:crypto';
import { Encoder } from '../../src/engine/text/encoding/encoder';
import { LoomweightError } from '../../src/protocol/errors';
import { readTestJson } from './formatFiles';

type Part = Readonly<Record<string, unknown>> | null;

/** test/golden/tokenizers.json: the parts, in the order of the generator, and two bytes for each combination of them. */
export interface TokenizerGolden {
  readonly texts: readonly string[];
  readonly parts: {
    readonly models: readonly Readonly<Record<string, unknown>>[];
    readonly normalizers: readonly Part[];
    readonly pre_tokenizers: readonly Part[];
    readonly added_tokens: readonly (readonly (readonly [content: string, flags: string])[])[];
  };
  readonly digests: string;
}

/** Places of the parts of one combination. */
export interface Combination {
  readonly model: number;
  readonly normalizer: number;
  readonly preTokenizer: number;
  readonly added: number;
}

/** Reads the golden. */
export function readTokenizerGolden(): TokenizerGolden {
  return readTestJson('golden/tokenizers.json');
}

/** Every combination in the order of the generator. */
export function* combinations({ parts }: TokenizerGolden): Generator<Combination> {
  const { models, normalizers, pre_tokenizers: preTokenizers, added_tokens: added } = parts;
  let number = 0;
  for (const model of models.keys())
    for (const normalizer of normalizers.keys())
      for (const preTokenizer of preTokenizers.keys()) yield { model, normalizer, preTokenizer, added: number++ % added.length };
  for (const each of added.keys())
    for (const normalizer of normalizers.keys())
      for (const preTokenizer of preTokenizers.keys()) yield { model: number++ % models.length, normalizer, preTokenizer, added: each };
}

/** tokenizer.json of a combination. */
export function tokenizerFile({ parts }: TokenizerGolden, at: Combination): Readonly<Record<string, unknown>> {
  const model = parts.models[at.model]!;
  const vocab = model['vocab'] as Readonly<Record<string, number>> | readonly (readonly [string, number])[];
  const ids = new Map(Array.isArray(vocab) ? vocab.map(([token]: readonly [string], id) => [token, id] as const) : Object.entries(vocab));
  let free = ids.size;
  const has = (flags: string, flag: string) => flags.split(' ').includes(flag);
  return {
    added_tokens: parts.added_tokens[at.added]!.map(([content, flags]) => ({
      id: ids.get(content) ?? free++,
      content,
      ...Object.fromEntries(['single_word', 'lstrip', 'rstrip', 'normalized', 'special'].map((flag) => [flag, has(flags, flag)])),
    })),
    normalizer: parts.normalizers[at.normalizer],
    pre_tokenizer: parts.pre_tokenizers[at.preTokenizer],
    post_processor: null,
    decoder: null,
    model,
  };
}

/** Ids of all texts, null for a text that is refused; or the error by which the whole file is refused. */
export function encodeAll(golden: TokenizerGolden, at: Combination): readonly (readonly number[] | null)[] | LoomweightError {
  let encoder: Encoder;
  try {
    encoder = new Encoder(tokenizerFile(golden, at));
  } catch (error) {
    if (error instanceof LoomweightError) return error;
    throw error;
  }
  return golden.texts.map((text) => {
    try {
      return encoder.encode(text);
    } catch (error) {
      if (error instanceof LoomweightError) return null;
      throw error;
    }
  });
}

/** The two bytes of the golden for some ids. */
export function digestOf(ids: readonly (readonly number[] | null)[]): string {
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 4);
}
