import { wildcardMatcher } from './wildcard';

/**
 * Tests tensor names against a glob: `*` is any run of characters (dots included), `?` one character, `{a,b}` either.
 * Everything else is literal, including square brackets. Several globs may be separated by commas outside braces.
 * Matching takes linear time in the name for each alternative, whatever the glob.
 */
export function globMatcher(glob: string): (name: string) => boolean {
  const alternatives = splitOutsideBraces(glob)
    .flatMap((part) => expandBraces(part.trim()))
    .map(wildcardMatcher);
  return (name) => alternatives.some((matches) => matches(name));
}

/** Maximum number of alternatives from nested braces; the rest of a hostile glob is ignored. */
const alternativeLimit = 256;

function splitOutsideBraces(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '{') depth += 1;
    else if (text[i] === '}') depth = Math.max(0, depth - 1);
    else if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  const close = open < 0 ? -1 : closingBrace(pattern, open);
  if (close < 0) return [pattern];
  const head = pattern.slice(0, open);
  const tails = expandBraces(pattern.slice(close + 1));
  const middles = splitOutsideBraces(pattern.slice(open + 1, close)).flatMap(expandBraces);
  return middles.flatMap((middle) => tails.map((tail) => head + middle + tail)).slice(0, alternativeLimit);
}

function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i += 1) {
    if (text[i] === '{') depth += 1;
    else if (text[i] === '}' && (depth -= 1) === 0) return i;
  }
  return -1;
}
