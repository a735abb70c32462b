import { decodeUtf8 } from '../files/readText';
import { malformedFile, quoteName } from '../malformed';

const quote = 0x22;
const backslash = 0x5c;

/**
 * Reads JSON directly from bytes, token by token, keeping track of the position. JSON.parse would silently drop duplicate keys, lose the
 * position, and build objects for a million tensors only to discard them.
 */
export class JsonScanner {
  position = 0;

  /** `base`: offset of the first byte in the file, for messages. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
    private readonly base: number,
  ) {}

  /** Offset in the file of the next byte. */
  get offset(): number {
    return this.base + this.position;
  }

  fail(message: string, diagnostic = 'invalid-json', offset = this.offset): Error {
    return malformedFile(this.file, offset, diagnostic, message);
  }

  /** The next byte that is not white space, not consumed; -1 at the end. */
  peek(): number {
    for (;;) {
      const byte = this.bytes[this.position];
      if (byte === undefined) return -1;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.position += 1;
    }
  }

  /** Consumes one punctuation mark. */
  expect(mark: string): void {
    const found = this.peek();
    if (found !== mark.charCodeAt(0))
      throw this.fail(
        `Expected ${quoteName(mark)} in the JSON header, found ${found < 0 ? 'its end' : quoteName(String.fromCharCode(found))}`,
      );
    this.position += 1;
  }

  /** Consumes the mark if it comes next. */
  take(mark: string): boolean {
    if (this.peek() !== mark.charCodeAt(0)) return false;
    this.position += 1;
    return true;
  }

  /** Consumes `null` if it comes next. */
  takeNull(): boolean {
    this.peek();
    if (![0x6e, 0x75, 0x6c, 0x6c].every((byte, index) => this.bytes[this.position + index] === byte)) return false;
    this.position += 4;
    return true;
  }

  /** A string, with escapes resolved. */
  string(): string {
    if (this.peek() !== quote) throw this.fail('Expected a string in the JSON header');
    const start = this.position;
    let escaped = false;
    let plain = true;
    let at = start + 1;
    for (; ; at += 1) {
      const byte = this.bytes[at];
      if (byte === undefined) throw this.fail('A string in the JSON header is not terminated', 'invalid-json', this.base + start);
      if (byte === quote) break;
      if (byte < 0x20) throw this.fail('A string in the JSON header contains a control character', 'invalid-json', this.base + at);
      if (byte === backslash) {
        escaped = true;
        at += 1;
      } else if (byte >= 0x80) plain = false;
    }
    this.position = at + 1;
    if (plain && !escaped) return asciiText(this.bytes, start + 1, at);
    const text = decodeUtf8(this.bytes.subarray(start, at + 1), this.file, this.base + start);
    if (!escaped) return text.slice(1, -1);
    try {
      return JSON.parse(text) as string;
    } catch {
      throw this.fail('A string in the JSON header has an invalid escape', 'invalid-json', this.base + start);
    }
  }

  /** An integer from 0 to 2^53 - 1: sizes and offsets. `what` names it in error messages. */
  size(what: () => string): number {
    this.peek();
    const start = this.position;
    let value = 0;
    for (;;) {
      const digit = (this.bytes[this.position] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (value > Number.MAX_SAFE_INTEGER) throw this.fail(`${what()} must be below 2^53`, 'number-too-large', this.base + start);
      this.position += 1;
    }
    const next = this.bytes[this.position] ?? 0;
    const leadingZero = this.position - start > 1 && this.bytes[start] === 0x30;
    if (this.position === start || leadingZero || next === 0x2e || next === 0x65 || next === 0x45)
      throw this.fail(`${what()} must be a whole number of at least 0`, 'invalid-number', this.base + start);
    return value;
  }

  /** A list of sizes. `limit` bounds its length. */
  sizes(what: () => string, limit: number): number[] {
    const values: number[] = [];
    this.expect('[');
    if (this.take(']')) return values;
    do {
      if (values.length >= limit) throw this.fail(`${what()} has more than ${limit} numbers`, 'too-many-numbers');
      values.push(this.size(what));
    } while (this.take(','));
    this.expect(']');
    return values;
  }

  /** An object: calls `member` for each key, which must consume the value. `keyOffset` is the position of the key in the file. */
  object(member: (key: string, keyOffset: number) => void): void {
    this.expect('{');
    if (this.take('}')) return;
    do {
      this.peek();
      const keyOffset = this.offset;
      const key = this.string();
      this.expect(':');
      member(key, keyOffset);
    } while (this.take(','));
    this.expect('}');
  }
}

/**
 * ASCII bytes as a string. Short strings are faster by hand than through a decoder; longer ones would remain in memory as chains of single
 * letters (for a header of a million names: 1,300 MB instead of 650, and more than twice the time).
 */
function asciiText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 12) return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
  let text = '';
  for (let i = start; i < end; i += 1) text += String.fromCharCode(bytes[i] as number);
  return text;
}
