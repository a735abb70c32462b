import path from 'node:path';
import type { LearnedTensor } from './learnedTensor';
import { byteLength } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { Diagnostic, ModelFormat } from '../../../protocol/model';
import type { TensorContainer, TensorEntry } from '../container';
import { OpenFiles } from '../files/openFiles';
import { RandomAccessFile } from '../files/randomAccessFile';
import { decodeUtf8, parseJsonObject } from '../files/readText';
import { malformedFile, quoteName, fileTooShort, rangeOutsideTensor, tensorNotFound } from '../malformed';
import { decodeGrouped, groupedValues } from './groupedData';
import { checkTable, decodePrologue, packedBitsPerWeight, prologueBytes, type ArchiveTable } from './header';
import { decodeLearned, decodeLearnedValues } from './learnedData';
import type { ArchiveFields, GroupedFields, GroupedTensor, LearnedFields } from './tensorKinds';

/** Extension and default name of an archive. */
export const archiveExtension = '.loomq';
export const archiveName = `model${archiveExtension}`;

/** Information from the folder around an archive. */
export interface ArchiveSurroundings {
  readonly format?: ModelFormat;
  readonly path?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly companions?: readonly string[];
}

/** Opens an archive: reads its table but no weights. Errors: `not-found`, `malformed-file`, `unsupported`. */
export async function openArchive(file: string, surroundings: ArchiveSurroundings = {}): Promise<ArchiveContainer> {
  const absolute = path.resolve(file);
  return new ArchiveContainer(absolute, await readArchiveTable(absolute), surroundings);
}

async function readArchiveTable(absolute: string): Promise<ArchiveTable> {
  const file = await RandomAccessFile.open(absolute);
  try {
    if (file.size < prologueBytes) throw fileTooShort(absolute, 'An archive', prologueBytes, file.size);
    const [offset, length] = decodePrologue(await file.read(0, prologueBytes), absolute, file.size);
    const text = decodeUtf8(await file.read(offset, length), absolute, offset);
    return checkTable(parseJsonObject(text, absolute), absolute, offset);
  } finally {
    await file.close();
  }
}

/**
 * An opened archive. Tensors with learned widths and matrices with scales appear as their float32 values, in the layout of the model that
 * they came from. A tensor is unpacked when it is read, and the last one is kept, so that reading it in pieces unpacks it only once.
 */
export class ArchiveContainer implements TensorContainer {
  readonly format: ModelFormat;
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[] = [];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly companions?: readonly string[];
  readonly weightFiles: readonly string[];
  private readonly fields: ReadonlyMap<string, ArchiveFields>;
  private readonly files = new OpenFiles();
  private last: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;

  constructor(
    private readonly file: string,
    table: ArchiveTable,
    surroundings: ArchiveSurroundings,
  ) {
    this.format = surroundings.format ?? 'archive';
    this.path = surroundings.path ?? file;
    this.fields = new Map(table.tensors.map((fields) => [fields.name, fields]));
    this.tensors = new Map(table.tensors.map((fields) => [fields.name, entryOf(file, fields)]));
    const bits = packedBitsPerWeight(table);
    this.metadata = { ...table.metadata, ...(bits === undefined ? {} : { 'archive.bits_per_weight': bits.toFixed(3) }) };
    this.weightFiles = [file];
    if (surroundings.config) this.config = surroundings.config;
    if (surroundings.companions) this.companions = surroundings.companions;
  }

  /** Kind of a tensor in the archive, and the number of bytes of its data. */
  describe(name: string): ArchiveFields {
    return this.fieldsOf(name);
  }

  async read(name: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array> {
    const fields = this.fieldsOf(name);
    const { bytes: size } = this.tensors.get(name) as TensorEntry;
    const { offset, length } = range ?? { offset: 0, length: size };
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > size)
      throw rangeOutsideTensor(name, size, { offset, length });
    if (length === 0) return new Uint8Array(0);
    if (fields.kind === 'plain') return this.files.read(this.file, fields.data[0] + offset, length);
    if (this.last?.name !== name) {
      const bytes = this.unpack(fields);
      bytes.catch(() => (this.last = undefined));
      this.last = { name, bytes };
    }
    const whole = await this.last.bytes;
    // A separate buffer, as for every container: a reader may keep or change it.
    return whole.slice(offset, offset + length);
  }

  /** A learned tensor as stored. Errors: `not-found`, `invalid-argument` for another kind, `malformed-file`. */
  async readLearned(name: string): Promise<LearnedTensor> {
    const fields = this.fieldsOf(name);
    if (fields.kind !== 'learned') throw this.otherKind(fields, 'learned');
    return decodeLearned(fields, await this.dataOf(fields), this.failureIn(fields));
  }

  /** A matrix with scales as stored. Errors as for `readLearned`. */
  async readGrouped(name: string): Promise<GroupedTensor> {
    const fields = this.fieldsOf(name);
    if (fields.kind !== 'grouped') throw this.otherKind(fields, 'grouped');
    return decodeGrouped(fields, await this.dataOf(fields), this.failureIn(fields));
  }

  close(): Promise<void> {
    this.last = undefined;
    return this.files.close();
  }

  private async unpack(fields: LearnedFields | GroupedFields): Promise<Uint8Array> {
    const data = await this.dataOf(fields);
    const fail = this.failureIn(fields);
    const values = fields.kind === 'learned' ? decodeLearnedValues(fields, data, fail) : groupedValues(decodeGrouped(fields, data, fail));
    const stored = fields.transposed ? turned(values, fields.shape[0] as number, fields.shape[1] as number) : values;
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }

  private dataOf({ data: [offset, length] }: ArchiveFields): Promise<Uint8Array> {
    return length === 0 ? Promise.resolve(new Uint8Array(0)) : this.files.read(this.file, offset, length);
  }

  private fieldsOf(name: string): ArchiveFields {
    const fields = this.fields.get(name);
    if (fields) return fields;
    throw tensorNotFound(this.path, name);
  }

  private otherKind({ name, kind }: ArchiveFields, asked: string): LoomweightError {
    return new LoomweightError(
      'invalid-argument',
      `Tensor ${quoteName(name)} of ${this.path} is stored as ${kind}, but was requested as ${asked}.`,
      {
        tensor: name,
      },
    );
  }

  private failureIn({ name, data }: ArchiveFields): (place: number, message: string) => Error {
    return (place, message) => malformedFile(this.file, data[0] + place, 'invalid-data', `Tensor ${quoteName(name)}: ${message}`);
  }
}

function entryOf(file: string, fields: ArchiveFields): TensorEntry {
  const { name, shape, data } = fields;
  if (fields.kind === 'plain')
    return { name, dtype: fields.dtype, shape, bytes: data[1], location: { file, offset: data[0], length: data[1] } };
  const stored = fields.transposed ? [...shape].reverse() : shape;
  return { name, dtype: 'float32', shape: stored, bytes: byteLength('float32', shape), location: undefined, storedBytes: data[1] };
}

/** Transposes [out, in] to [in, out]. */
function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  const tile = 64;
  for (let top = 0; top < rows; top += tile)
    for (let left = 0; left < columns; left += tile)
      for (let row = top; row < Math.min(top + tile, rows); row += 1)
        for (let column = left; column < Math.min(left + tile, columns); column += 1)
          result[column * rows + row] = values[row * columns + column] as number;
  return result;
}
