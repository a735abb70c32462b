/** A possible tensor name in a line of text: zero-based characters, the end excluded. */
export interface TensorToken {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Characters of tensor names: dots, slashes and colons join the parts in all frameworks. */
const nameCharacters = /[\w./:-]+/g;
/** Longer words are data, not names. */
const longestName = 300;

/** The word at a character of a line that may be a tensor's name: at least one letter, without a closing dot or colon. */
export function tensorTokenAt(line: string, character: number): TensorToken | undefined {
  for (const match of line.matchAll(nameCharacters)) {
    const start = match.index;
    if (start > character) return undefined;
    if (start + match[0].length < character) continue;
    const text = match[0].replace(/[.:]+$/, '');
    if (text.length > longestName || !/[a-z]/i.test(text)) return undefined;
    return { text, start, end: start + text.length };
  }
  return undefined;
}

/** Names under which a token may be known: itself, and the weight or bias of a module that it names. */
export function candidateNames(token: string): readonly string[] {
  return [token, `${token}.weight`, `${token}.bias`];
}
