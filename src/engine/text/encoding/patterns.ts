import { SplitPreTokenizer } from '@huggingface/tokenizers';
import { isEntries, malformedEntry, unsupportedFeature } from './entries';

/** The global expression of a pattern of tokenizer.json: `{ "String": ... }` literally, or `{ "Regex": ... }` in Oniguruma's syntax. */
export function readPattern(pattern: unknown, where: string): RegExp {
  // Older files give the literal text itself.
  if (typeof pattern === 'string') return literal(pattern);
  if (isEntries(pattern)) {
    const { String: text, Regex: source } = pattern;
    if (typeof text === 'string') return literal(text);
    if (typeof source === 'string') return translate(source);
  }
  throw malformedEntry(where, 'a pattern', pattern);
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');
}

/** What has no equal in JavaScript, or is translated only approximately. */
const untranslated: readonly (readonly [RegExp, string])[] = [
  [/\(\?>/, 'an atomic group'],
  [/\(\?(?!i:|[:=!>]|<[=!]|<[A-Za-z_])/, 'a group with options'],
];

const untranslatedEscapes: readonly (readonly [RegExp, string])[] = [
  [/\\[GKXRkgyYON]/, 'an escape that JavaScript does not have'],
  [/\\[1-9]/, 'a back reference'],
];

/** Translates a regular expression of Oniguruma; the library does so for everything but possessive quantifiers, which it would make greedy. */
function translate(source: string): RegExp {
  const bare = withoutEscapes(source);
  const found =
    untranslated.find(([pattern]) => pattern.test(bare)) ??
    untranslatedEscapes.find(([pattern]) => pattern.test(source.replaceAll('\\\\', '')));
  if (found) throw unsupportedFeature(`a regular expression with ${found[1]} (${source.slice(0, 80)})`);
  const regex = possessive(source);
  try {
    const { pattern } = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated' });
    if (pattern) return pattern;
  } catch {
    // Refused below: the expression cannot be translated.
  }
  throw unsupportedFeature(`a regular expression that cannot be translated (${source.slice(0, 80)})`);
}

/** The expression with every escaped character and the contents of classes blanked out, so that what is left is syntax. */
function withoutEscapes(source: string): string {
  return source.replace(/\\[\s\S]/g, '..').replace(/\[\^?\]?[^\]]*\]/g, (text) => '.'.repeat(text.length));
}

/** A single character, class or escape with a possessive quantifier. */
const possessiveAtom = /((?:\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\[\s\S]|\[(?:\\[\s\S]|\[:\^?\w+:\]|[^\]\\])+\]|[^\\[\](){}|*+?^$]))([?*+])\+/g;

/**
 * Writes possessive quantifiers of single characters without them: `A*+` as `A*(?!A)` and `A?+` as `(?:A|(?!A))` match the same, because giving back a character leaves one
 * that must not follow. (`{n,m}+` is no possessive quantifier in Oniguruma.)
 */
function possessive(source: string): string {
  if (!/[?*+]\+/.test(withoutEscapes(source))) return source;
  const rewritten = source.replace(possessiveAtom, (_, atom: string, quantifier: string) =>
    quantifier === '?' ? `(?:${atom}|(?!${atom}))` : `(?:${atom}${quantifier}(?!${atom}))`,
  );
  if (/[?*+]\+/.test(withoutEscapes(rewritten))) throw unsupportedFeature(`a possessive quantifier of a group (${source.slice(0, 80)})`);
  return rewritten;
}
