import { flagOf, listOf, malformedEntry, textOf, unsupportedFeature, vocabularyOf, type Entries } from '../entries';
import { mergeSymbols, type MergeTable } from './mergeSymbols';
import { byteFallback, type TokenModel } from './model';

/** Pieces of at most so many UTF-16 units are remembered with their ids, up to `mostRemembered` of them. */
const longestRemembered = 256;
const mostRemembered = 20_000;

/** BPE: characters are joined by the merge of the lowest rank, the leftmost first, until none applies. */
export function readBpe(entries: Entries): TokenModel {
  const dropout = entries['dropout'];
  if (dropout !== undefined && dropout !== null && dropout !== 0)
    throw unsupportedFeature(`dropout ${JSON.stringify(dropout)} in its BPE model (random tokens)`);
  const vocabulary = vocabularyOf(entries, 'model');
  // An empty text means the same as none.
  const prefix = textOf(entries, 'continuing_subword_prefix', 'model', '');
  const suffix = textOf(entries, 'end_of_word_suffix', 'model', '');
  const byBytes = flagOf(entries, 'byte_fallback', 'model', false);
  const fuses = flagOf(entries, 'fuse_unk', 'model', false);
  const ignoresMerges = flagOf(entries, 'ignore_merges', 'model', false);
  const unknownToken = textOf(entries, 'unk_token', 'model', undefined);
  const merges = readMerges(entries, vocabulary, prefix);
  const remembered = new Map<string, readonly number[]>();

  const unknownId = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined)
      throw malformedEntry('model.vocab', `the unknown token '${token}', because the text has other characters,`, undefined);
    return id;
  };

  /** Ids of the characters, before any merge. Bytes of a character do not end a run of unknown ones: that is how the reference does it. */
  const symbolsOf = (piece: string): number[] => {
    const symbols: number[] = [];
    const characters = Array.from(piece);
    let pending: number | undefined;
    for (const [index, character] of characters.entries()) {
      const text = (index > 0 ? prefix : '') + character + (index === characters.length - 1 ? suffix : '');
      const id = vocabulary.get(text);
      if (id !== undefined) {
        if (pending !== undefined) symbols.push(pending);
        pending = undefined;
        symbols.push(id);
        continue;
      }
      const bytes = byBytes ? byteFallback(text, vocabulary) : undefined;
      if (bytes) {
        symbols.push(...bytes);
      } else if (unknownToken !== undefined) {
        if (pending !== undefined && !fuses) symbols.push(pending);
        pending = unknownId(unknownToken);
      }
    }
    if (pending !== undefined) symbols.push(pending);
    return symbols;
  };

  return {
    vocabulary,
    encode: (piece, ids) => {
      const whole = ignoresMerges ? vocabulary.get(piece) : undefined;
      if (whole !== undefined) {
        ids.push(whole);
        return;
      }
      let found = remembered.get(piece);
      if (!found) {
        found = mergeSymbols(symbolsOf(piece), merges);
        if (piece.length <= longestRemembered) {
          if (remembered.size >= mostRemembered) remembered.clear();
          remembered.set(piece, found);
        }
      }
      for (const id of found) ids.push(id);
    },
  };
}

function readMerges(entries: Entries, vocabulary: ReadonlyMap<string, number>, prefix: string): MergeTable {
  const size = [...vocabulary.values()].reduce((largest, id) => Math.max(largest, id), 0) + 1;
  const merges = new Map<number, { readonly rank: number; readonly id: number }>();
  const idOf = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw malformedEntry('model.merges', 'tokens of the vocabulary', token);
    return id;
  };
  let rank = 0;
  for (const entry of listOf(entries, 'merges', 'model')) {
    if (typeof entry === 'string' && entry.startsWith('#version')) continue;
    const parts: unknown = typeof entry === 'string' ? entry.split(' ') : entry;
    if (!Array.isArray(parts) || parts.length !== 2 || typeof parts[0] !== 'string' || typeof parts[1] !== 'string')
      throw malformedEntry('model.merges', 'pairs of tokens', entry);
    const [left, right] = parts as [string, string];
    // The reference cuts as many bytes as the prefix has, whatever they are; only a token that starts with the prefix is read here.
    if (!right.startsWith(prefix))
      throw unsupportedFeature(
        `a merge with ${JSON.stringify(right)}, which does not start with the prefix ${JSON.stringify(prefix)} of continuations`,
      );
    const joined = left + right.slice(prefix.length);
    merges.set(idOf(left) * size + idOf(right), { rank, id: idOf(joined) });
    rank += 1;
  }
  return { merges, size };
}
