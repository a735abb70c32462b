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

/** The expression of a literal text. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function literal(text: string): RegExp {
  return new RegExp(escaped(text), 'gu');
}

/** What has no equal in JavaScript, or is translated only approximately. */
const untranslated: readonly (readonly [RegExp, string])[] = [
  [/\(\?>/, 'an atomic group'],
  [/\(\?(?!i:|[:=!>]|<[=!]|<[A-Za-z_])/, 'a group with options'],
  // In Oniguruma `a{2}?` is `(?:a{2})?`, in JavaScript `a{2}`.
  [/\{\d+\}\?/, 'an optional interval'],
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
  if (foldsSeveralCharacters(source, bare))
    throw unsupportedFeature(
      `a regular expression that ignores the case of letters such as ß, which is SS as well (${source.slice(0, 80)})`,
    );
  const regex = possessive(withThirdForms(source));
  try {
    const { pattern } = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated' });
    if (pattern) return new RegExp(atEnds(pattern.source), pattern.flags);
  } catch {
    // Refused below: the expression cannot be translated.
  }
  throw unsupportedFeature(`a regular expression that cannot be translated (${source.slice(0, 80)})`);
}

/**
 * The library writes the start and the end of a text as "no character before" and "no character behind", which also hold inside a surrogate pair. JavaScript's own
 * assertions, without the flag `m`, hold at the ends only.
 */
function atEnds(source: string): string {
  return source.replaceAll('(?<![\\s\\S])', '(?:^)').replaceAll('(?![\\s\\S])', '(?:$)');
}

/** Letters that are another number of letters in the other case. Oniguruma takes each for the other, JavaScript only one letter for one. */
const severalLetters = /ss|ff|fi|fl|st/i;

/** True if a group that ignores case holds such letters. `bare`: the expression as `withoutEscapes` gives it. */
function foldsSeveralCharacters(source: string, bare: string): boolean {
  return caseGroups(bare).some(([start, end]) => {
    const group = source.slice(start, end);
    return severalLetters.test(bare.slice(start, end)) || group.toUpperCase().length !== group.length;
  });
}

/** Start and end of every group that ignores case; those inside another are part of it. */
function caseGroups(bare: string): readonly (readonly [start: number, end: number])[] {
  const groups: (readonly [number, number])[] = [];
  for (const { index } of bare.matchAll(/\(\?i:/g)) {
    if (index < (groups.at(-1)?.[1] ?? 0)) continue;
    let end = index + 1;
    for (let depth = 1; depth > 0 && end < bare.length; end += 1) depth += bare[end] === '(' ? 1 : bare[end] === ')' ? -1 : 0;
    groups.push([index, end]);
  }
  return groups;
}

/** What is no letter of its own in an expression, a class, or a letter that has a third form. */
const caseAtom = /\(\?(?:i:|<\w+>)|\\(?:[pPx]\{[^}]*\}|[\s\S])|\[:\^?\w+:\]|\[\^?\]?(?:\\[\s\S]|[^\]\\[])*\]|[sSkK]/g;

/** The expression with the third forms of s and k in groups that ignore case: the long s (U+017F) and the kelvin sign (U+212A), which the library leaves out. */
function withThirdForms(source: string): string {
  let result = '';
  let done = 0;
  for (const [start, end] of caseGroups(withoutEscapes(source))) {
    const group = source.slice(start, end).replace(caseAtom, (atom) => {
      const isClass = atom.startsWith('[') && !atom.startsWith('[:');
      if (!isClass && atom.length > 1) return atom;
      const letters = atom.replace(/\\(?:[pPx]\{[^}]*\}|[\s\S])/g, '');
      const added = (/s|a-z/i.test(letters) ? '\u017f' : '') + (/k|a-z/i.test(letters) ? '\u212a' : '');
      return isClass ? `${atom.slice(0, -1)}${added}]` : `[${atom}${added}]`;
    });
    result += source.slice(done, start) + group;
    done = end;
  }
  return result + source.slice(done);
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
