import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { byteLength, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { formatShape } from '../../graph/shapes';
import type { ConstantData } from '../../graph/types';

/** Tensors of this size and above are page-aligned, so that the runtime can map them; smaller ones are aligned to a cache line. */
const pageFrom = 2 ** 20;
const page = 4096;
const line = 64;

/**
 * Writes tensors one after another into the data file of an ONNX model (`model.onnx_data` for `model.onnx`) and returns the references for
 * the graph. Weights pass through in pieces; nothing is kept in memory.
 */
export class ExternalDataWriter {
  private position = 0;

  private constructor(
    /** Absolute path of the data file. */
    readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** Creates an empty data file next to the ONNX file; both must be in one folder. */
  static async create(onnxPath: string): Promise<ExternalDataWriter> {
    const path = `${onnxPath}_data`;
    return new ExternalDataWriter(path, await open(path, 'w'));
  }

  /** Bytes written so far, including padding. */
  get bytes(): number {
    return this.position;
  }

  /** Appends one tensor, whole or in pieces. Throws `invalid-argument` if the bytes do not match type and shape. */
  async append(
    dtype: DType,
    shape: readonly number[],
    data: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<ConstantData & { readonly kind: 'external' }> {
    const length = byteLength(dtype, shape);
    const alignment = length >= pageFrom ? page : line;
    const offset = Math.ceil(this.position / alignment) * alignment;
    let written = 0;
    for await (const piece of data instanceof Uint8Array ? [data] : data) {
      if (written + piece.byteLength > length) throw wrongLength(dtype, shape, length, written + piece.byteLength);
      await writeAll(this.file, piece, offset + written);
      written += piece.byteLength;
    }
    if (written !== length) throw wrongLength(dtype, shape, length, written);
    this.position = offset + length;
    return { kind: 'external', dtype, shape, location: basename(this.path), offset, length };
  }

  /** Syncs and closes the file. The last tensor may be empty: the file then still extends to its offset. */
  async close(): Promise<void> {
    await this.file.truncate(this.position);
    await this.file.sync();
    await this.file.close();
  }

  /** Closes the file without syncing, after an error; the creator of the folder removes it. */
  async abandon(): Promise<void> {
    await this.file.close();
  }
}

/** Writes every byte at a position: one call may write fewer bytes than requested on a nearly full disk. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

function wrongLength(dtype: DType, shape: readonly number[], expected: number, actual: number): LoomweightError {
  return new LoomweightError('invalid-argument', `A ${dtype}${formatShape(shape)} has ${expected} bytes, got ${actual}.`, {
    expected,
    actual,
  });
}
