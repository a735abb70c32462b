import { byteLevel, punctuation, spaces, whiteSpace, wordCharacters } from './characters';
import { countOf, flagOf, listOf, malformedEntry, objectOf, readComponent, textOf, unsupportedFeature, type Entries } from './entries';
import { readPattern } from './patterns';
import { readBehavior, splitPieces, stretchesOf, type Piece, type SplitBehavior } from './splits';

/** What splits a text into the pieces that the model sees one by one. */
export interface PreTokenizer {
  split(piece: Piece): readonly Piece[];
  /** True if it must know where the text starts. */
  readonly needsStart: boolean;
}

type Read = (entries: Entries, where: string) => PreTokenizer;

const byPattern = (pattern: RegExp, behavior: SplitBehavior, invert = false): PreTokenizer => ({
  split: (piece) => splitPieces(piece, stretchesOf(piece.text, pattern, invert), behavior),
  needsStart: false,
});

const inSequence = (parts: readonly PreTokenizer[]): PreTokenizer => ({
  split: (piece) =>
    parts.reduce<readonly Piece[]>(
      (pieces, part) => (pieces.length === 1 ? part.split(pieces[0] as Piece) : pieces.flatMap((each) => part.split(each))),
      [piece],
    ),
  needsStart: parts.some((part) => part.needsStart),
});

const spaceRuns = new RegExp(`[${whiteSpace}]+`, 'gu');
const words = new RegExp(`[${wordCharacters}]+|[^${wordCharacters}${whiteSpace}]+`, 'gu');
const marks = new RegExp(`[${punctuation}]`, 'gu');

const preTokenizers: Readonly<Record<string, Read>> = {
  Sequence: (entries, where) =>
    inSequence(listOf(entries, 'pretokenizers', where).map((part, index) => readOne(part, `${where}.pretokenizers[${index}]`))),
  BertPreTokenizer: () => inSequence([byPattern(spaces, 'Removed'), byPattern(marks, 'Isolated')]),
  ByteLevel: readByteLevel,
  CharDelimiterSplit: (entries, where) => byPattern(readPattern(textOf(entries, 'delimiter', where, ' '), where), 'Removed'),
  Delimiter: (entries, where) => byPattern(readPattern(textOf(entries, 'delimiter', where, ' '), where), 'Removed'),
  Digits: (entries, where) => byPattern(/\p{N}/gu, flagOf(entries, 'individual_digits', where, false) ? 'Isolated' : 'Contiguous'),
  FixedLength: (entries, where) => fixedLength(countOf(entries, 'length', where, 5), where),
  Metaspace: readMetaspace,
  Punctuation: (entries) => byPattern(marks, readBehavior(entries['behavior'], 'Isolated')),
  Split: (entries, where) =>
    byPattern(
      readPattern(entries['pattern'], `${where}.pattern`),
      readBehavior(entries['behavior'], 'Isolated'),
      flagOf(entries, 'invert', where, false),
    ),
  Whitespace: () => byPattern(words, 'Removed', true),
  WhitespaceSplit: () => byPattern(spaceRuns, 'Removed'),
};

/** Reads the pre-tokeniser of tokenizer.json; undefined where there is none. Errors: `unsupported` with the name of what is not applied. */
export function readPreTokenizer(file: Entries): PreTokenizer | undefined {
  const entries = objectOf(file, 'pre_tokenizer', 'the file');
  return entries && readOne(entries, 'pre_tokenizer');
}

function readOne(value: unknown, where: string): PreTokenizer {
  return readComponent(preTokenizers, value, where, 'pre-tokeniser');
}

/** The expression of GPT-2. */
const gpt2Words = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${whiteSpace}\\p{L}\\p{N}]+|[${whiteSpace}]+(?![^${whiteSpace}])|[${whiteSpace}]+`,
  'gu',
);

function readByteLevel(entries: Entries, where: string): PreTokenizer {
  const addsSpace = flagOf(entries, 'add_prefix_space', where, true);
  const splits = flagOf(entries, 'use_regex', where, true);
  return {
    split: ({ text: given, first }) => {
      const text = addsSpace && !given.startsWith(' ') ? ` ${given}` : given;
      const whole = { text, first };
      const pieces = splits ? splitPieces(whole, stretchesOf(text, gpt2Words), 'Isolated') : [whole];
      return pieces.map((piece) => ({ text: byteLevel(piece.text), first: piece.first }));
    },
    needsStart: false,
  };
}

function readMetaspace(entries: Entries, where: string): PreTokenizer {
  const mark = textOf(entries, 'replacement', where, '\u2581');
  const prefix = flagOf(entries, 'add_prefix_space', where, true);
  const scheme = prefix ? textOf(entries, 'prepend_scheme', where, 'always') : 'never';
  if (!['always', 'first', 'never'].includes(scheme)) throw unsupportedFeature(`the prepend scheme '${scheme}' of Metaspace`);
  const splits = flagOf(entries, 'split', where, true);
  const pattern = readPattern({ String: mark }, where);
  return {
    split: ({ text: given, first }) => {
      const replaced = given.replaceAll(' ', mark);
      const prepends = !replaced.startsWith(mark) && (scheme === 'always' || (scheme === 'first' && first));
      const piece = { text: prepends ? mark + replaced : replaced, first };
      return splits ? splitPieces(piece, stretchesOf(piece.text, pattern), 'MergedWithNext') : [piece];
    },
    needsStart: scheme === 'first',
  };
}

function fixedLength(length: number, where: string): PreTokenizer {
  if (length === 0) throw malformedEntry(`${where}.length`, 'a positive whole number', length);
  return {
    split: ({ text, first }) => {
      const characters = Array.from(text);
      const pieces: Piece[] = [];
      for (let start = 0; start < characters.length; start += length)
        pieces.push({ text: characters.slice(start, start + length).join(''), first: first && start === 0 });
      return pieces;
    },
    needsStart: false,
  };
}
