import { open, rm, type FileHandle } from 'node:fs/promises';
import { LoomweightError } from '../../../protocol/errors';
import { packPlane, unpackPlane } from '../../kernels/host/packBits';
import type { TensorArray } from './tensorArrays';

/** Where an array was written, and how it is read back. */
export interface SpilledArray {
  readonly offset: number;
  readonly bytes: number;
  readonly type: 'uint8' | 'nibbles' | 'uint16' | 'uint32' | 'float32';
  readonly length: number;
}

/** Bytes of one call: the system takes less than 2 GiB. */
const chunk = 2 ** 30;

/** Arrays in a temporary file, made with the first of them. Codes of up to 4 bits take half a byte. */
export class SpillFile {
  private handle: FileHandle | undefined;
  private position = 0;

  constructor(private readonly path: string) {}

  /** Writes an array behind the others. Errors: `insufficient-disk`, `io`. */
  async append(array: TensorArray): Promise<SpilledArray> {
    const nibbles = array instanceof Uint8Array && array.length > 0 && array.every((code) => code < 16);
    const data = nibbles ? packPlane(array, { width: 4, shift: 0 }) : new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const offset = this.position;
    try {
      this.handle ??= await open(this.path, 'wx+');
      for (let done = 0; done < data.length;) {
        const { bytesWritten } = await this.handle.write(data, done, Math.min(chunk, data.length - done), offset + done);
        done += bytesWritten;
      }
    } catch (error) {
      const full = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as { code?: string }).code ?? '');
      throw new LoomweightError(
        full ? 'insufficient-disk' : 'io',
        `Planned tensors beyond the memory limit go to a temporary file next to the output, but ${this.path} cannot be written. Free space, or raise --max-memory.`,
        { path: this.path },
        { cause: error },
      );
    }
    this.position += data.length;
    return { offset, bytes: data.length, type: nibbles ? 'nibbles' : typeOf(array), length: array.length };
  }

  async read({ offset, bytes, type, length }: SpilledArray): Promise<TensorArray> {
    const data = new Uint8Array(bytes);
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await this.handle!.read(data, done, Math.min(chunk, bytes - done), offset + done);
      if (bytesRead === 0)
        throw new LoomweightError('io', `${this.path} ended before the data that was written to it.`, { path: this.path });
      done += bytesRead;
    }
    switch (type) {
      case 'nibbles': {
        const codes = new Uint8Array(length);
        unpackPlane(data, { width: 4, shift: 0 }, codes);
        return codes;
      }
      case 'uint8':
        return data;
      case 'uint16':
        return new Uint16Array(data.buffer);
      case 'uint32':
        return new Uint32Array(data.buffer);
      case 'float32':
        return new Float32Array(data.buffer);
    }
  }

  /** Closes and removes the file, if there is one. */
  async remove(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    this.position = 0;
    if (!handle) return;
    await handle.close();
    await rm(this.path, { force: true });
  }
}

function typeOf(array: TensorArray): SpilledArray['type'] {
  if (array instanceof Uint8Array) return 'uint8';
  if (array instanceof Uint16Array) return 'uint16';
  return array instanceof Uint32Array ? 'uint32' : 'float32';
}
