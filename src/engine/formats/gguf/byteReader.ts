import type { RandomAccessFile } from '../files/randomAccessFile';
import { decodeUtf8 } from '../files/readText';
import { malformedFile } from '../malformed';

/** Number of bytes fetched at a time. */
const windowBytes = 1 << 18;

/**
 * Reads little-endian values from a file sequentially through a window, so that a header of any length takes bounded memory. Every length
 * is checked against the file before memory is reserved.
 */
export class ByteReader {
  position = 0;
  private window: Uint8Array = new Uint8Array(0);
  private view = new DataView(this.window.buffer);
  private windowStart = 0;

  constructor(readonly file: RandomAccessFile) {}

  fail(diagnostic: string, message: string, offset = this.position): Error {
    return malformedFile(this.file.path, offset, diagnostic, message);
  }

  /** Number of bytes from the position to the end. */
  get remaining(): number {
    return this.file.size - this.position;
  }

  /** Tells whether the next `length` bytes are in the window, so they can be read without waiting. */
  has(length: number): boolean {
    return this.position >= this.windowStart && this.position + length <= this.windowStart + this.window.length;
  }

  /** Fetches a window that starts at the position and has at least `length` bytes. */
  async fill(length: number): Promise<void> {
    if (this.has(length)) return;
    if (length > this.remaining) throw this.fail('truncated', `The file ends after ${this.file.size} bytes, but ${length} more are needed`);
    this.windowStart = this.position;
    this.window = await this.file.read(this.position, Math.min(this.remaining, Math.max(length, windowBytes)));
    this.view = new DataView(this.window.buffer, this.window.byteOffset, this.window.length);
  }

  /** The next bytes, consumed; valid until the next call. They must be in the window. */
  take(length: number): { readonly view: DataView; readonly at: number } {
    const at = this.position - this.windowStart;
    this.position += length;
    return { view: this.view, at };
  }

  async uint32(): Promise<number> {
    if (!this.has(4)) await this.fill(4);
    const { view, at } = this.take(4);
    return view.getUint32(at, true);
  }

  /** An unsigned 64-bit count, offset or size; values of 2^53 and above are an error. */
  async size(what: string): Promise<number> {
    if (!this.has(8)) await this.fill(8);
    const { view, at } = this.take(8);
    const high = view.getUint32(at + 4, true);
    if (high >= 2 ** 21) throw this.fail('number-too-large', `${what} must be below 2^53`, this.position - 8);
    return high * 2 ** 32 + view.getUint32(at, true);
  }

  /** Text preceded by a 64-bit length. `limit` in bytes. */
  async text(what: string, limit: number): Promise<string> {
    const length = await this.size(`The length of ${what}`);
    if (length > limit || length > this.remaining)
      throw this.fail(
        'length-too-large',
        `${what} declares ${length} bytes, but at most ${Math.min(limit, this.remaining)} are possible here`,
        this.position - 8,
      );
    if (!this.has(length)) await this.fill(length);
    const start = this.position;
    const { view, at } = this.take(length);
    return decodeUtf8(new Uint8Array(view.buffer, view.byteOffset + at, length), this.file.path, start);
  }
}
