/** Classes of characters as Unicode, and the reference implementation, define them; JavaScript's own `\s`, `\w` and `\d` differ. */

/** Inside of a class: white space. */
export const whiteSpace = '\\p{White_Space}';

/** Every character of white space. */
export const spaces = new RegExp(`[${whiteSpace}]`, 'gu');

const space = new RegExp(`[${whiteSpace}]`, 'u');

/** True for a text with white space. */
export function isSpace(text: string): boolean {
  return space.test(text);
}

/** Inside of a class: characters of words. */
export const wordCharacters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';

/** Inside of a class: punctuation, ASCII's symbols included. */
export const punctuation = '\\p{P}!-/:-@\\[-`{-~';

const byteCharacters = byteAlphabet();

/** The character that stands for each byte in byte-level vocabularies: itself where it can be seen, otherwise one from 256 on. */
function byteAlphabet(): readonly string[] {
  const isVisible = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isVisible(byte) ? byte : next++));
}

const utf8 = new TextEncoder();

/** A text with each byte of its UTF-8 form as a character. */
export function byteLevel(text: string): string {
  let result = '';
  for (const byte of utf8.encode(text)) result += byteCharacters[byte] as string;
  return result;
}

/** Lower case character by character: without the rules that depend on neighbours, such as the final sigma. */
export function lowerCase(text: string): string {
  let result = '';
  for (const character of text) result += character.toLowerCase();
  return result;
}
