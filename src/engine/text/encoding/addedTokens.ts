import { isSpace, wordCharacters } from './characters';
import { countOf, flagOf, isEntries, malformedEntry, textOf, unsupportedFeature, type Entries } from './entries';
import { escaped } from './patterns';

/** A token that is found in the text before the model sees it. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Found only where no character of a word is beside it. */
  readonly singleWord: boolean;
  /** Takes the white space before it, or after it, into itself. */
  readonly leftStrip: boolean;
  readonly rightStrip: boolean;
  /** Looked for in the normalised text. */
  readonly normalized: boolean;
}

/** A stretch of a text: a token, or text for the model. */
export interface Section {
  readonly start: number;
  readonly end: number;
  readonly id?: number;
}

/**
 * Reads the added tokens of tokenizer.json. Errors: `unsupported` for a token whose id differs from that of the same text in the vocabulary, which the reference
 * implementation decides by the order of tokens.
 */
export function readAddedTokens(file: Entries, vocabulary: ReadonlyMap<string, number>): readonly AddedToken[] {
  const listed = file['added_tokens'] ?? [];
  if (!Array.isArray(listed)) throw malformedEntry('added_tokens', 'a list', listed);
  const tokens: AddedToken[] = [];
  const ids = new Map<string, number>();
  for (const [index, entry] of listed.entries()) {
    const where = `added_tokens[${index}]`;
    if (!isEntries(entry)) throw malformedEntry(where, 'an object', entry);
    const content = textOf(entry, 'content', where, undefined);
    const id = countOf(entry, 'id', where, undefined);
    if (content === undefined || id === undefined) throw malformedEntry(where, 'content and id', entry);
    if (content === '') continue;
    const known = vocabulary.get(content) ?? ids.get(content);
    if (known !== undefined && known !== id)
      throw unsupportedFeature(`the id ${id} for the added token ${JSON.stringify(content)}, whose id in the vocabulary is ${known},`);
    if (ids.has(content)) throw unsupportedFeature(`the added token ${JSON.stringify(content)} twice`);
    ids.set(content, id);
    tokens.push({
      content,
      id,
      singleWord: flagOf(entry, 'single_word', where, false),
      leftStrip: flagOf(entry, 'lstrip', where, false),
      rightStrip: flagOf(entry, 'rstrip', where, false),
      normalized: flagOf(entry, 'normalized', where, !flagOf(entry, 'special', where, false)),
    });
  }
  return tokens;
}

const wordAtEnd = new RegExp(`[${wordCharacters}]$`, 'u');
const wordAtStart = new RegExp(`^[${wordCharacters}]`, 'u');

/** Finds tokens in texts: the leftmost, and of those that start there the longest. */
export class TokenFinder {
  private readonly expression: RegExp | undefined;
  private readonly byContent = new Map<string, AddedToken>();

  /** `contents`: the text of each token as it is looked for. */
  constructor(contents: readonly (readonly [content: string, token: AddedToken])[]) {
    for (const [content, token] of contents) if (content !== '' && !this.byContent.has(content)) this.byContent.set(content, token);
    const longest = [...this.byContent.keys()].sort((a, b) => b.length - a.length);
    const sources = longest.map(escaped);
    this.expression = sources.length === 0 ? undefined : new RegExp(sources.join('|'), 'gu');
  }

  /** The whole text as sections in order. */
  sections(text: string): readonly Section[] {
    if (!this.expression) return text === '' ? [] : [{ start: 0, end: text.length }];
    const sections: Section[] = [];
    let done = 0;
    for (const match of text.matchAll(this.expression)) {
      const token = this.byContent.get(match[0]) as AddedToken;
      let start = match.index;
      let end = start + match[0].length;
      if (token.singleWord && (isWordBefore(text, start) || wordAtStart.test(text.slice(end, end + 2)))) continue;
      if (token.leftStrip) while (start > done && isSpace(text[start - 1] as string)) start -= 1;
      if (token.rightStrip) while (end < text.length && isSpace(text[end] as string)) end += 1;
      if (done < start) sections.push({ start: done, end: start });
      sections.push({ start, end, id: token.id });
      done = end;
    }
    if (done < text.length) sections.push({ start: done, end: text.length });
    return sections;
  }
}

function isWordBefore(text: string, index: number): boolean {
  return index > 0 && wordAtEnd.test(text.slice(Math.max(0, index - 2), index));
}
