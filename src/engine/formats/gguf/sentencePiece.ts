import type { GgufValue } from './metadata';
import { addedTokens, specialTokenTemplate, texts, tokenText, tokenTypes, typesOf } from './tokenizerParts';

type Json = Readonly<Record<string, unknown>>;

/** SentencePiece represents a space by this character. */
const spaceMark = '\u2581';
/** By default SentencePiece trains pieces of at most 16 characters; much longer ones would take quadratic time to split. */
const longestPiece = 512;

/**
 * tokenizer.json for a SentencePiece BPE vocabulary (`tokenizer.ggml.model` = `llama`: Llama 2, Mistral), or the reason why it cannot be
 * created. A SentencePiece model merges the adjacent pieces whose merged piece has the highest score; a BPE model merges by a list. So
 * every way to split a piece into two pieces is a merge, ordered by the score of the merged piece. Normalisation follows Llama 2's
 * published tokenizer.json: a leading space (even if the text starts with one), spaces as U+2581. Characters without a piece become byte
 * tokens.
 */
export function sentencePieceTokenizer(
  values: ReadonlyMap<string, GgufValue>,
  tokens: readonly string[],
): Json | { readonly problem: string } {
  if (values.has('tokenizer.ggml.precompiled_charsmap'))
    return { problem: 'The tokenizer has its own table of character replacements (precompiled_charsmap), which cannot be converted.' };
  const types = typesOf(values, tokens.length);
  const merges = mergesOf(values, tokens, types);
  if ('problem' in merges) return merges;
  const prefix = values.get('tokenizer.ggml.add_space_prefix') !== false;
  const unknown = tokenText(values, 'unknown')?.text ?? tokens[types.indexOf(tokenTypes.unknown)];
  const vocabulary = new Set(tokens);
  const asMark = { type: 'Replace', pattern: { String: ' ' }, content: spaceMark };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(tokens, types, [tokenTypes.control, tokenTypes.unknown]),
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: spaceMark }, asMark] } : asMark,
    pre_tokenizer: null,
    post_processor: specialTokenTemplate(values, true) ?? null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: spaceMark }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: everyByte.every((token) => vocabulary.has(token)),
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.pairs,
    },
  };
}

const everyByte = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

type Merges = { readonly pairs: readonly (readonly [string, string])[] } | { readonly problem: string };

function mergesOf(values: ReadonlyMap<string, GgufValue>, tokens: readonly string[], types: readonly number[]): Merges {
  const listed = values.get('tokenizer.ggml.merges');
  if (listed !== undefined) {
    const pairs = (texts(listed) ?? []).map((merge) => merge.split(' '));
    if (pairs.length === 0 || pairs.some((pair) => pair.length !== 2)) return { problem: 'A merge in the file is not a pair of tokens.' };
    return { pairs: pairs as unknown as readonly (readonly [string, string])[] };
  }
  const scores = values.get('tokenizer.ggml.scores');
  if (!Array.isArray(scores) || scores.length !== tokens.length || !scores.every((score) => typeof score === 'number'))
    return { problem: 'The file does not have a score for every token, so the order of merges is unknown.' };
  return mergesByScore(tokens, types, scores as readonly number[]);
}

interface Merge {
  readonly pair: readonly [string, string];
  readonly score: number;
  /** Lengths of both parts in characters. */
  readonly lengths: readonly [number, number];
}

/** For equal scores: the longer left part first, then the order of the vocabulary. */
function mergesByScore(tokens: readonly string[], types: readonly number[], scores: readonly number[]): Merges {
  const joinable = (id: number) => types[id] === tokenTypes.normal || types[id] === tokenTypes.unused;
  const ids = new Map(tokens.flatMap((token, id) => (joinable(id) ? [[token, id] as const] : [])));
  const merges: Merge[] = [];
  const joined: number[] = [];
  for (const [token, id] of ids) {
    const characters = [...token];
    if (characters.length < 2) continue;
    if (characters.length > longestPiece)
      return { problem: `Token ${id} has ${characters.length} characters; at most ${longestPiece} are expected.` };
    const score = scores[id] as number;
    const before = merges.length;
    for (let cut = 1, at = (characters[0] as string).length; cut < characters.length; at += (characters[cut] as string).length, cut += 1) {
      const pair = [token.slice(0, at), token.slice(at)] as const;
      if (ids.has(pair[0]) && ids.has(pair[1])) merges.push({ pair, score, lengths: [cut, characters.length - cut] });
    }
    if (merges.length > before) joined.push(score);
  }
  // Uninformative scores would give an arbitrary order.
  if (joined.length > 1 && new Set(joined).size < joined.length / 2)
    return { problem: 'Most tokens have the same score, so the order of merges is unknown.' };
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return { pairs: merges.map(({ pair }) => pair) };
}
