import { describeValue, type GgufValue } from './metadata';
import { sentencePieceTokenizer } from './sentencePiece';
import { addedTokens, specialTokenTemplate, texts, tokenText, tokenTypes, typesOf } from './tokenizerParts';

/** tokenizer.json and tokenizer_config.json, or the reason why they cannot be created. */
export type TokenizerFiles = { readonly files: ReadonlyMap<string, string> } | { readonly problem: string };

/** How each pre-tokeniser splits text, from the tokenizer.json of the models that use it. */
interface Splitting {
  /** Undefined: the GPT-2 rule of the byte-level step. */
  readonly pattern?: string;
  readonly normalizer?: Readonly<Record<string, unknown>>;
  readonly ignoreMerges?: boolean;
  readonly addsBos?: boolean;
}

const llama3Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const splittings: Readonly<Record<string, Splitting>> = {
  'gpt-2': {},
  'llama-bpe': { pattern: llama3Pattern, ignoreMerges: true, addsBos: true },
  qwen2: { pattern: llama3Pattern.replace('{1,3}', ''), normalizer: { type: 'NFC' } },
};

/**
 * The tokenizer of a GGUF file as Hugging Face files. A tokenizer.json embedded in the file is returned unchanged; byte-level BPE (`gpt2`)
 * with a known pre-tokeniser and SentencePiece's BPE (`llama`) are rebuilt. Everything else is reported as a problem: a tokenizer that is
 * almost right would distort every measurement unnoticed.
 */
export function llamaTokenizer(values: ReadonlyMap<string, GgufValue>): TokenizerFiles {
  const settings = JSON.stringify(tokenizerSettings(values), undefined, 2);
  const whole = values.get('tokenizer.huggingface.json');
  if (typeof whole === 'string') {
    return {
      files: new Map([
        ['tokenizer.json', whole],
        ['tokenizer_config.json', settings],
      ]),
    };
  }
  const json = rebuilt(values);
  if ('problem' in json) return { problem: json.problem as string };
  return {
    files: new Map([
      ['tokenizer.json', JSON.stringify(json)],
      ['tokenizer_config.json', settings],
    ]),
  };
}

type Json = Readonly<Record<string, unknown>>;

/** tokenizer.json, or `problem`. */
function rebuilt(values: ReadonlyMap<string, GgufValue>): Json {
  const model = values.get('tokenizer.ggml.model');
  if (model !== 'gpt2' && model !== 'llama') {
    const found = model === undefined ? 'no tokenizer' : `a tokenizer of kind ${JSON.stringify(describeValue(model))}`;
    return { problem: `The file has ${found}; only "gpt2" (byte-level BPE) and "llama" (SentencePiece) can be converted.` };
  }
  const tokens = texts(values.get('tokenizer.ggml.tokens'));
  if (!tokens || new Set(tokens).size !== tokens.length)
    return { problem: 'The list of tokens is missing, contains something other than strings, or repeats a token.' };
  return model === 'llama' ? sentencePieceTokenizer(values, tokens) : byteLevelTokenizer(values, tokens);
}

function byteLevelTokenizer(values: ReadonlyMap<string, GgufValue>, tokens: readonly string[]): Json {
  const pre = values.get('tokenizer.ggml.pre');
  const splitting = typeof pre === 'string' && Object.hasOwn(splittings, pre) ? splittings[pre] : undefined;
  if (splitting === undefined) {
    const known = Object.keys(splittings).join(', ');
    return {
      problem: `The tokenizer splits text by the unknown rule ${JSON.stringify(describeValue(pre ?? 'not stated'))}; known rules are ${known}.`,
    };
  }
  const merges = texts(values.get('tokenizer.ggml.merges'));
  if (!merges) return { problem: 'The list of merges is missing or contains something other than strings.' };
  const pairs = merges.map((merge) => merge.split(' '));
  if (pairs.some((pair) => pair.length !== 2)) return { problem: 'A merge in the file is not a pair of tokens.' };
  return bytePairTokenizer(values, splitting, tokens, pairs);
}

function bytePairTokenizer(
  values: ReadonlyMap<string, GgufValue>,
  { pattern, normalizer, ignoreMerges = false, addsBos = false }: Splitting,
  tokens: readonly string[],
  merges: readonly (readonly string[])[],
): Readonly<Record<string, unknown>> {
  const added = addedTokens(tokens, typesOf(values, tokens.length), [tokenTypes.control]);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: pattern === undefined };
  const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  // A token "__proto__" would only be misread in object literals; Object.fromEntries defines own properties.
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: normalizer ?? null,
    pre_tokenizer: pattern === undefined ? byteLevel : { type: 'Sequence', pretokenizers: [split, byteLevel] },
    post_processor: specialTokenTemplate(values, addsBos) ?? byteLevel,
    decoder: { ...byteLevel, add_prefix_space: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab,
      merges,
    },
  };
}

function tokenizerSettings(values: ReadonlyMap<string, GgufValue>): Readonly<Record<string, unknown>> {
  const flag = (key: string) => {
    const value = values.get(`tokenizer.ggml.${key}`);
    return typeof value === 'boolean' ? { [key]: value } : {};
  };
  const template = values.get('tokenizer.chat_template');
  const special = (['bos', 'eos', 'unknown', 'padding'] as const).flatMap((kind) => {
    const token = tokenText(values, kind);
    const key = { bos: 'bos_token', eos: 'eos_token', unknown: 'unk_token', padding: 'pad_token' }[kind];
    return token ? [[key, token.text] as const] : [];
  });
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...Object.fromEntries(special),
    ...flag('add_bos_token'),
    ...flag('add_eos_token'),
    clean_up_tokenization_spaces: false,
    ...(typeof template === 'string' ? { chat_template: template } : {}),
  };
}
