import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { LoomweightError } from '../../../protocol/errors';
import { malformedFile } from '../malformed';

/** One read of the operating system returns at most 2^31 - 1 bytes; larger ones are split into pieces of this size. */
const largestRead = 2 ** 30;

/** Opening a pipe blocks until it has a writer, and nothing can interrupt that; regular files ignore the flag. Windows does not have it. */
const readWithoutWaiting = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * A regular file of any size, read by position. Concurrent reads are allowed. Every `read` returns bytes in a separate buffer that starts
 * at position 0, so that it can be viewed as a typed array of any width.
 */
export class RandomAccessFile {
  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** Errors: `not-found`, `io`; `invalid-argument` for anything but a regular file (a pipe would block forever). */
  static async open(path: string): Promise<RandomAccessFile> {
    const handle = await openRegularFile(path);
    try {
      return new RandomAccessFile(path, (await handle.stat()).size, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Exactly `length` bytes from `offset`. A range beyond the end is a `malformed-file` error with the position. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    // Checked before allocating: a length from a hostile header must not reserve memory.
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > this.size)
      throw malformedFile(
        this.path,
        this.size,
        'truncated',
        `The file ends after ${this.size} bytes, but ${length} bytes at offset ${offset} are needed`,
      );
    const buffer = Buffer.allocUnsafeSlow(length);
    await this.readInto(buffer, offset);
    return new Uint8Array(buffer.buffer, 0, length);
  }

  /** Fills `target` with the bytes from `offset`. */
  async readInto(target: Uint8Array, offset: number): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await this.handle.read(target, done, Math.min(target.length - done, largestRead), offset + done);
      if (bytesRead === 0)
        throw malformedFile(
          this.path,
          offset + done,
          'truncated',
          `The file ended ${target.length - done} bytes early while it was being read`,
        );
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/**
 * Opens a regular file for reading, without ever blocking: a pipe or a device in place of a file is refused. Errors: `not-found`, `io`,
 * `invalid-argument`.
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const handle = await open(path, readWithoutWaiting).catch((error: unknown) => {
    throw openError(error, path);
  });
  try {
    if (!(await handle.stat()).isFile()) throw notRegularFile(path);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function openError(error: unknown, path: string): unknown {
  const { code } = error as { code?: string };
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new LoomweightError('not-found', `No such file: ${path}. Check the path.`, { path, system: code }, { cause: error });
  if (code === 'ENXIO' || code === 'EISDIR') return notRegularFile(path, error);
  return error;
}

function notRegularFile(path: string, cause?: unknown): LoomweightError {
  return new LoomweightError(
    'invalid-argument',
    `${path} is not a regular file. Name a model file.`,
    { path },
    cause === undefined ? undefined : { cause },
  );
}
