import { malformedEntry, textOf, vocabularyOf, type Entries } from '../entries';
import type { TokenModel } from './model';

/** WordLevel: every piece is one token of the vocabulary, or the unknown token. */
export function readWordLevel(entries: Entries): TokenModel {
  const vocabulary = vocabularyOf(entries, 'model');
  const unknownToken = textOf(entries, 'unk_token', 'model', '<unk>');
  const unknown = vocabulary.get(unknownToken);
  return {
    vocabulary,
    encode: (piece, ids) => {
      const id = vocabulary.get(piece) ?? unknown;
      if (id === undefined)
        throw malformedEntry('model.vocab', `the unknown token '${unknownToken}', because the text has other words,`, undefined);
      ids.push(id);
    },
  };
}
