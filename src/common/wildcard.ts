/** A stretch of a pattern between stars, which finds its first place in a text from a position on; -1 where it has none. */
interface Segment {
  readonly length: number;
  find(text: string, from: number): number;
  matchesAt(text: string, at: number): boolean;
}

/**
 * Tests whole texts against a pattern: `*` is any run of characters, `?` one UTF-16 unit, everything else literal. Linear in the letters of the text; a stretch with question
 * marks takes one step per letter for every 32 of its own.
 */
export function wildcardMatcher(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) {
    const whole = segment(pattern);
    return (text) => text.length === whole.length && whole.matchesAt(text, 0);
  }
  const first = segment(parts[0] as string);
  const last = segment(parts.at(-1) as string);
  const middle = parts
    .slice(1, -1)
    .filter((part) => part !== '')
    .map(segment);
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !first.matchesAt(text, 0) || !last.matchesAt(text, end)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = part.find(text, at);
      if (found < 0) return false;
      at = found + part.length;
      if (at > end) return false;
    }
    return true;
  };
}

/** Finds literal parts in a text, one behind the other, in time linear in its letters. */
export function partsFinder(parts: readonly string[]): (text: string) => boolean {
  const finders = parts.filter((part) => part !== '').map((part) => ({ length: part.length, find: findLiteral(part) }));
  return (text) => {
    let at = 0;
    for (const { length, find } of finders) {
      const found = find(text, at);
      if (found < 0) return false;
      at = found + length;
    }
    return true;
  };
}

function segment(pattern: string): Segment {
  const { length } = pattern;
  const matchesAt = (text: string, at: number): boolean => {
    for (let index = 0; index < length; index += 1) if (pattern[index] !== '?' && pattern[index] !== text[at + index]) return false;
    return at + length <= text.length;
  };
  return { length, matchesAt, find: pattern.includes('?') ? findByBits(pattern) : findLiteral(pattern) };
}

/** Knuth, Morris and Pratt: never goes back in the text. */
function findLiteral(pattern: string): Segment['find'] {
  const { length } = pattern;
  // The longest proper prefix that ends at each place as well.
  const borders = new Int32Array(length);
  for (let index = 1, border = 0; index < length; index += 1) {
    while (border > 0 && pattern[index] !== pattern[border]) border = borders[border - 1] as number;
    if (pattern[index] === pattern[border]) border += 1;
    borders[index] = border;
  }
  return (text, from) => {
    let matched = 0;
    for (let index = from; index < text.length; index += 1) {
      while (matched > 0 && text[index] !== pattern[matched]) matched = borders[matched - 1] as number;
      if (text[index] === pattern[matched]) matched += 1;
      if (matched === length) return index - length + 1;
    }
    return -1;
  };
}

/** Shift-and: bit `i` is set while the last letters match the first `i + 1` of the pattern. */
function findByBits(pattern: string): Segment['find'] {
  const { length } = pattern;
  const words = Math.ceil(length / 32);
  const anyLetter = new Uint32Array(words);
  const letters = new Map<string, Uint32Array>();
  for (let index = 0; index < length; index += 1) if (pattern[index] === '?') setBit(anyLetter, index);
  for (let index = 0; index < length; index += 1) {
    const letter = pattern[index] as string;
    if (letter === '?') continue;
    let bits = letters.get(letter);
    if (!bits) letters.set(letter, (bits = anyLetter.slice()));
    setBit(bits, index);
  }
  const lastWord = (length - 1) >> 5;
  const lastBit = (length - 1) & 31;
  return (text, from) => {
    const state = new Uint32Array(words);
    for (let index = from; index < text.length; index += 1) {
      const bits = letters.get(text[index] as string) ?? anyLetter;
      let carry = 1;
      for (let word = 0; word < words; word += 1) {
        const before = state[word] as number;
        state[word] = ((before << 1) | carry) & (bits[word] as number);
        carry = before >>> 31;
      }
      if ((((state[lastWord] as number) >>> lastBit) & 1) === 1) return index - length + 1;
    }
    return -1;
  };
}

function setBit(bits: Uint32Array, index: number): void {
  bits[index >> 5] = (bits[index >> 5] as number) | (1 << (index & 31));
}
