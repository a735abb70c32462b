import { countOf, malformedEntry, textOf, vocabularyOf, type Entries } from '../entries';
import type { TokenModel } from './model';

/** WordPiece: the longest token that starts a piece, then the longest with the prefix of continuations, and so on; or the unknown token for the whole piece. */
export function readWordPiece(entries: Entries): TokenModel {
  const vocabulary = vocabularyOf(entries, 'model');
  const prefix = textOf(entries, 'continuing_subword_prefix', 'model', '##');
  const longest = countOf(entries, 'max_input_chars_per_word', 'model', 100);
  const unknownToken = textOf(entries, 'unk_token', 'model', '[UNK]');
  const unknown = vocabulary.get(unknownToken);
  const piecesOf = (piece: string): readonly number[] | undefined => {
    const characters = Array.from(piece);
    if (characters.length > longest) return undefined;
    const found: number[] = [];
    for (let start = 0; start < characters.length;) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end -= 1) {
        const text = characters.slice(start, end).join('');
        id = vocabulary.get(start > 0 ? prefix + text : text);
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      found.push(id);
      start = end;
    }
    return found;
  };
  return {
    vocabulary,
    encode: (piece, ids) => {
      const found = piecesOf(piece);
      if (found) {
        for (const id of found) ids.push(id);
        return;
      }
      if (unknown === undefined)
        throw malformedEntry('model.vocab', `the unknown token '${unknownToken}', because the text has other words,`, undefined);
      ids.push(unknown);
    },
  };
}
