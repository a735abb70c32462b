import { open, type FileHandle } from 'node:fs/promises';
import type { LearnedTensor } from './learnedTensor';
import { byteLength, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { quoteName } from '../malformed';
import { encodeGrouped } from './groupedData';
import { encodePrologue, prologueBytes } from './header';
import { encodeLearned } from './learnedData';
import type { ArchiveFields, GroupedTensor } from './tensorKinds';

/** Result of writing an archive. */
export interface WrittenArchive {
  readonly bytes: number;
  /** The part of `bytes` taken by the prologue and the table of tensors; the rest is data. */
  readonly headerBytes: number;
}

/**
 * Writes an archive tensor by tensor, holding one tensor in memory. The file should be in a temporary folder (createOutputFolder).
 *
 *   const writer = await ArchiveWriter.create(path);
 *   await writer.addLearned(tensor);
 *   await writer.addPlain('model.norm.weight', 'float16', [256], bytes);
 *   await writer.finish();
 */
export class ArchiveWriter {
  private position = prologueBytes;
  private readonly tensors: ArchiveFields[] = [];
  private readonly names = new Set<string>();

  private constructor(
    private readonly handle: FileHandle,
    private readonly metadata: Readonly<Record<string, string>>,
  ) {}

  static async create(path: string, metadata: Readonly<Record<string, string>> = {}): Promise<ArchiveWriter> {
    return new ArchiveWriter(await open(path, 'wx'), metadata);
  }

  /** Stores a tensor with learned widths; returns the number of its bytes. Errors: `invalid-argument`. */
  async addLearned(tensor: LearnedTensor): Promise<number> {
    return this.add(encodeLearned(tensor));
  }

  /** Stores a matrix with scales; returns the number of its bytes. */
  async addGrouped(tensor: GroupedTensor): Promise<number> {
    return this.add(encodeGrouped(tensor));
  }

  /** Stores little-endian bytes unchanged, whole or in chunks. */
  async addPlain(name: string, dtype: DType, shape: readonly number[], data: Uint8Array | AsyncIterable<Uint8Array>): Promise<number> {
    const expected = byteLength(dtype, shape);
    const start = this.position;
    if (data instanceof Uint8Array) await this.append(data);
    else for await (const chunk of data) await this.append(chunk);
    const length = this.position - start;
    if (length !== expected)
      throw new LoomweightError(
        'invalid-argument',
        `Tensor ${quoteName(name)}, ${dtype} [${shape.join(', ')}], needs ${expected} bytes, got ${length}.`,
        { tensor: name },
      );
    this.list({ name, kind: 'plain', shape, dtype, data: [start, length] });
    return length;
  }

  /** Writes the table and the first bytes, syncs and closes. */
  async finish(): Promise<WrittenArchive> {
    const table = Buffer.from(JSON.stringify({ metadata: this.metadata, tensors: this.tensors }));
    const offset = this.position;
    await this.append(table);
    await writeAll(this.handle, encodePrologue(offset, table.length), 0);
    await this.handle.sync();
    await this.handle.close();
    return { bytes: this.position, headerBytes: prologueBytes + table.length };
  }

  /** Closes the unfinished file; the owner of the folder removes it. */
  async abort(): Promise<void> {
    await this.handle.close().catch(() => undefined);
  }

  private async add({
    fields,
    bytes,
  }: {
    readonly fields: DistributiveOmit<ArchiveFields, 'data'>;
    readonly bytes: Uint8Array;
  }): Promise<number> {
    const start = this.position;
    await this.append(bytes);
    this.list({ ...fields, data: [start, bytes.length] });
    return bytes.length;
  }

  private list(fields: ArchiveFields): void {
    if (this.names.has(fields.name))
      throw new LoomweightError('invalid-argument', `Tensor ${quoteName(fields.name)} was added to the archive twice.`, {
        tensor: fields.name,
      });
    this.names.add(fields.name);
    this.tensors.push(fields);
  }

  private async append(bytes: Uint8Array): Promise<void> {
    await writeAll(this.handle, bytes, this.position);
    this.position += bytes.length;
  }
}

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    done += bytesWritten;
  }
}
