import { randomBytes } from 'node:crypto';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LoomweightError, toLoomweightError } from '../../protocol/errors';
import { temporaryName } from '../../protocol/client/temporaryNames';
import { openRegularFile } from '../formats/files/randomAccessFile';

/** Sizes of hidden states: float32 [windows, length, hiddenSize]. */
export interface HiddenLayout {
  readonly windows: number;
  /** Tokens of a window. */
  readonly length: number;
  readonly hiddenSize: number;
}

/** Where hidden states may be stored. */
export interface HiddenPlace {
  /** Bytes up to which they stay in memory. */
  readonly memoryBytes: number;
  /** Folder for the temporary file beyond that: the job's own. */
  readonly folder: string;
}

/** Bytes of hidden states. */
export function hiddenBytes({ windows, length, hiddenSize }: HiddenLayout): number {
  return 4 * windows * length * hiddenSize;
}

/**
 * Hidden states between two blocks, read and written by windows: in memory, or in a file. Memory and file give the same bits. Whoever
 * makes them closes them, which removes a temporary file.
 */
export class HiddenStates {
  private closed = false;

  private constructor(
    readonly layout: HiddenLayout,
    private readonly values: Float32Array | undefined,
    private readonly file: { readonly handle: FileHandle; readonly path: string; readonly temporary: boolean } | undefined,
  ) {}

  /** In memory; `values` are taken over where given. */
  static inMemory(layout: HiddenLayout, values: Float32Array = new Float32Array(hiddenBytes(layout) / 4)): HiddenStates {
    if (4 * values.length !== hiddenBytes(layout))
      throw new LoomweightError(
        'internal',
        `Hidden states need ${layout.windows} x ${layout.length} x ${layout.hiddenSize} values, got ${values.length} values.`,
      );
    return new HiddenStates(layout, values, undefined);
  }

  /** In memory where they fit, else in a temporary file. Errors: `insufficient-disk`, `io`. */
  static async create(layout: HiddenLayout, { memoryBytes, folder }: HiddenPlace): Promise<HiddenStates> {
    if (hiddenBytes(layout) <= memoryBytes) return HiddenStates.inMemory(layout);
    return withPath(folder, async () => {
      await mkdir(folder, { recursive: true });
      const path = join(folder, temporaryName('hidden', randomBytes(4).toString('hex')));
      const handle = await open(path, 'wx+');
      // If the system allows it the file is unlinked immediately, so that even a killed process leaves none.
      if (process.platform !== 'win32') await rm(path, { force: true });
      return new HiddenStates(layout, undefined, { handle, path, temporary: true });
    });
  }

  /** In a new file that stays, in place of whatever had that name. */
  static async newFile(layout: HiddenLayout, path: string): Promise<HiddenStates> {
    return withPath(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      // Does not follow a link planted there.
      await rm(path, { force: true });
      return new HiddenStates(layout, undefined, { handle: await open(path, 'wx+'), path, temporary: false });
    });
  }

  /** From a file that holds states of this layout, to be read. Errors: `not-found`, `malformed-file`. */
  static async fromFile(layout: HiddenLayout, path: string): Promise<HiddenStates> {
    const handle = await openRegularFile(path);
    const { size } = await handle.stat();
    if (size === hiddenBytes(layout)) return new HiddenStates(layout, undefined, { handle, path, temporary: false });
    await handle.close();
    throw new LoomweightError('malformed-file', `${path} must have ${hiddenBytes(layout)} bytes of hidden states, but has ${size}.`, {
      path,
      expected: hiddenBytes(layout),
      actual: size,
    });
  }

  get spilled(): boolean {
    return this.file !== undefined;
  }

  /** Windows `first` to `first + count`, [count * length * hiddenSize]: the memory itself, or values read into `target` where it has that length. */
  async read(first: number, count: number, target?: Float32Array): Promise<Float32Array> {
    const { start, end } = this.range(first, count);
    if (this.values) return this.values.subarray(start, end);
    const { handle, path } = this.file!;
    const values = target?.length === end - start ? target : new Float32Array(end - start);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), 4 * start + done);
      if (bytesRead === 0) throw new LoomweightError('malformed-file', `The hidden states in ${path} are truncated.`, { path });
      done += bytesRead;
    }
    return values;
  }

  /** Puts values in the place of windows from `first` on. Errors: `insufficient-disk`, `io`. */
  async write(first: number, values: Float32Array): Promise<void> {
    const { length, hiddenSize } = this.layout;
    const { start } = this.range(first, values.length / (length * hiddenSize));
    if (this.values) return this.values.set(values, start);
    const { handle, path } = this.file!;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    await withPath(path, async () => {
      for (let done = 0; done < bytes.length;)
        done += (await handle.write(bytes, done, Math.min(bytes.length - done, 2 ** 30), 4 * start + done)).bytesWritten;
    });
  }

  /** Forces a file to the disk. */
  async sync(): Promise<void> {
    await this.file?.handle.sync();
  }

  /** Releases memory or file; a temporary file is gone afterwards. Safe to call twice. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    if (!this.file) return;
    await this.file.handle.close();
    if (this.file.temporary) await rm(this.file.path, { force: true });
  }

  private range(first: number, count: number): { readonly start: number; readonly end: number } {
    const { windows, length, hiddenSize } = this.layout;
    if (this.closed) throw new LoomweightError('internal', 'Hidden states were used after they were closed.');
    if (!Number.isInteger(first) || !Number.isInteger(count) || first < 0 || count < 0 || first + count > windows)
      throw new LoomweightError('internal', `Windows ${first} to ${first + count} were requested, but there are only ${windows}.`);
    return { start: first * length * hiddenSize, end: (first + count) * length * hiddenSize };
  }
}

/** Converts system errors, adding the file's path. */
async function withPath<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (LoomweightError.is(error) || !(error instanceof Error)) throw error;
    throw toLoomweightError(Object.assign(error, { path }));
  }
}
