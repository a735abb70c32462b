import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { LoomweightError, toLoomweightError } from '../../../../protocol/errors';
import { truncatedOnnx } from '../refusals';

const firstRead = 4096;
const largestRead = 256 * 1024;

/**
 * A file read through a small moving window. Reads are positional (for files over 2 GiB) and synchronous: a header has many thousands of
 * tiny fields, and a promise for each would cost more than the reads. After a jump, reads start small and grow while reading continues
 * sequentially, so that skipping over weights costs one small read each.
 */
export class FileWindow {
  readonly size: number;
  private store = Buffer.alloc(0);
  private buffer = Buffer.alloc(0);
  private start = 0;
  private nextRead = firstRead;

  private constructor(
    readonly path: string,
    private readonly descriptor: number,
  ) {
    this.size = fstatSync(descriptor).size;
  }

  /** Opens a file for the duration of an action and closes it again. System errors are converted to LoomweightErrors. */
  static use<T>(path: string, action: (window: FileWindow) => T): T {
    try {
      const descriptor = openSync(path, 'r');
      try {
        if (fstatSync(descriptor).isDirectory())
          throw new LoomweightError('invalid-argument', `${path} is a folder. Name an ONNX file.`, { path });
        return action(new FileWindow(path, descriptor));
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw toLoomweightError(error);
    }
  }

  /** The byte at an offset below `size`. */
  byteAt(offset: number): number {
    if (offset < this.start || offset >= this.start + this.buffer.length) this.moveTo(offset);
    const byte = this.buffer[offset - this.start];
    if (byte === undefined) throw truncatedOnnx(this.path, offset);
    return byte;
  }

  /** A copy of a range. The caller limits its length. */
  bytesAt(offset: number, length: number): Buffer {
    if (offset >= this.start && offset + length <= this.start + this.buffer.length) {
      const from = offset - this.start;
      return Buffer.from(this.buffer.subarray(from, from + length));
    }
    const bytes = Buffer.allocUnsafe(length);
    readFully(this.descriptor, bytes, offset, this.path);
    return bytes;
  }

  private moveTo(offset: number): void {
    const follows = offset === this.start + this.buffer.length;
    this.nextRead = follows ? Math.min(this.nextRead * 2, largestRead) : firstRead;
    const length = Math.min(this.nextRead, this.size - offset);
    if (length <= 0) throw truncatedOnnx(this.path, offset);
    // Callers never keep the window's bytes, so one buffer serves all reads.
    if (this.store.length < length) this.store = Buffer.allocUnsafeSlow(length);
    this.buffer = this.store.subarray(0, length);
    readFully(this.descriptor, this.buffer, offset, this.path);
    this.start = offset;
  }
}

function readFully(descriptor: number, bytes: Buffer, offset: number, path: string): void {
  for (let done = 0; done < bytes.length;) {
    const count = readSync(descriptor, bytes, done, bytes.length - done, offset + done);
    if (count === 0) throw truncatedOnnx(path, offset + done);
    done += count;
  }
}
