import { isEntries, malformedEntry, objectOf, readComponent, unsupportedFeature, type Entries } from '../entries';
import { readBpe } from './bpe';
import type { TokenModel } from './model';
import { readUnigram } from './unigram';
import { readWordLevel } from './wordLevel';
import { readWordPiece } from './wordPiece';

const models: Readonly<Record<string, (entries: Entries) => TokenModel>> = {
  BPE: readBpe,
  Unigram: readUnigram,
  WordLevel: readWordLevel,
  WordPiece: readWordPiece,
};

/** Reads the model of tokenizer.json. Errors: `unsupported` with the name of what is not applied, `malformed-file`. */
export function readModel(file: Entries): TokenModel {
  const entries = objectOf(file, 'model', 'the file');
  if (!entries) throw malformedEntry('model', 'an object', file['model']);
  const type = entries['type'] ?? typeByForm(entries);
  if (type === undefined) throw unsupportedFeature('a model without a type');
  return readComponent(models, { ...entries, type }, 'model', 'model');
}

/** Older files do not name the type. */
function typeByForm(entries: Entries): string | undefined {
  if (Array.isArray(entries['vocab'])) return 'Unigram';
  if (!isEntries(entries['vocab'])) return undefined;
  if ('merges' in entries) return 'BPE';
  if ('max_input_chars_per_word' in entries && 'continuing_subword_prefix' in entries) return 'WordPiece';
  return 'unk_token' in entries ? 'WordLevel' : undefined;
}
