import { elementCount, byteLength, dtypes, type DType } from '../../../protocol/dtypes';
import type { LoomweightError } from '../../../protocol/errors';
import { malformedFile, quoteName, quoteValue, safeProduct, unsupportedContent, wrongMagic } from '../malformed';
import type { ArchiveFields, DataRange } from './tensorKinds';
import { matrixOf } from './tensorKinds';

/**
 * First bytes of an archive: `LOOMQ` and three zero bytes, the version (uint32), four zero bytes, then offset and length of the table of
 * tensors (two uint64). The table is JSON and comes last, so that tensors can be written one after the other.
 */
export const prologueBytes = 32;
export const archiveMagic = 'LOOMQ\0\0\0';
export const archiveVersion = 1;

/** Maximum length of a table: enough for a million tensors. */
const longestTable = 256e6;
/** Maximum number of entries per byte of data: pruned tensors take almost no space, and a false count must not reserve memory. */
const entriesPerByte = 2 ** 24;

/** The table of an archive. */
export interface ArchiveTable {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly ArchiveFields[];
}

/** The first bytes of a finished archive. */
export function encodePrologue(tableOffset: number, tableLength: number): Uint8Array {
  const bytes = Buffer.alloc(prologueBytes);
  bytes.write(archiveMagic, 0, 'latin1');
  bytes.writeUInt32LE(archiveVersion, 8);
  bytes.writeBigUInt64LE(BigInt(tableOffset), 16);
  bytes.writeBigUInt64LE(BigInt(tableLength), 24);
  return bytes;
}

/** Reads the position of the table. Errors: `malformed-file`, `unsupported` for another version. */
export function decodePrologue(bytes: Uint8Array, file: string, fileSize: number): DataRange {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data.toString('latin1', 0, 8) !== archiveMagic) throw wrongMagic(file, 'An archive', 'LOOMQ and three zero bytes');
  const version = data.readUInt32LE(8);
  if (version !== archiveVersion)
    throw unsupportedContent(
      file,
      'unknown-version',
      `${file} is an archive of version ${version}, but this Loomweight reads version ${archiveVersion}. Read it with the version of Loomweight that wrote it, or write it again.`,
    );
  const offset = data.readBigUInt64LE(16);
  const length = data.readBigUInt64LE(24);
  if (length > longestTable)
    throw malformedFile(
      file,
      24,
      'table-too-long',
      `The table of tensors has at most ${longestTable} bytes, but this one declares ${length}`,
    );
  if (offset < BigInt(prologueBytes) || offset + length !== BigInt(fileSize))
    throw malformedFile(
      file,
      16,
      'truncated',
      `The table of tensors must end at the end of the file, byte ${fileSize}, but the header places it at ${offset} with ${length} bytes`,
    );
  return [Number(offset), Number(length)];
}

/** Checks the parsed table: unique names, valid shapes and ranges, no overlapping data. `end`: end of the data. */
export function checkTable(value: Readonly<Record<string, unknown>>, file: string, end: number): ArchiveTable {
  const { metadata, tensors } = value;
  const fail = (message: string) => malformedFile(file, end, 'invalid-table', message);
  if (!isRecord(metadata) || !Object.values(metadata).every((text) => typeof text === 'string'))
    throw fail("The archive's metadata must be an object of strings");
  if (!Array.isArray(tensors)) throw fail("The archive's table needs a list of tensors");
  const names = new Set<string>();
  const checked = tensors.map((item: unknown) => {
    const fields = checkFields(item, file, end);
    if (names.has(fields.name)) throw fail(`Tensor ${quoteName(fields.name)} is listed twice`);
    names.add(fields.name);
    return fields;
  });
  let last = prologueBytes;
  let before = '';
  for (const { name, data } of [...checked].sort((a, b) => a.data[0] - b.data[0] || a.data[1] - b.data[1])) {
    if (data[1] === 0) continue;
    if (data[0] < last)
      throw malformedFile(
        file,
        data[0],
        'overlapping-offsets',
        `The data of tensor ${quoteName(name)} overlaps that of ${quoteName(before)}`,
      );
    last = data[0] + data[1];
    before = name;
  }
  return { metadata: metadata as Readonly<Record<string, string>>, tensors: checked };
}

function checkFields(item: unknown, file: string, end: number): ArchiveFields {
  const fields = isRecord(item) ? item : {};
  const name = fields['name'];
  const fail = (message: string): LoomweightError =>
    malformedFile(file, end, 'invalid-table', typeof name === 'string' ? `Tensor ${quoteName(name)}: ${message}` : message);
  if (typeof name !== 'string') throw fail('Every tensor in the table of an archive needs a name');
  const { shape, data, kind } = fields;
  const count = isCounts(shape) ? safeProduct(shape) : undefined;
  if (!isCounts(shape) || count === undefined || shape.length > 64)
    throw fail('its shape must be a list of whole numbers whose product is below 2^53');
  if (!isCounts(data) || data.length !== 2) throw fail('its data must be given as an offset and a length');
  const [offset, length] = data as [number, number];
  if (offset < prologueBytes || offset + length > end)
    throw malformedFile(
      file,
      offset,
      'offset-outside',
      `Tensor ${quoteName(name)}: its data takes ${length} bytes at offset ${offset}, outside the archive's data from ${prologueBytes} to ${end}`,
    );
  if (count > entriesPerByte * (length + 1)) throw fail(`${length} bytes of data cannot encode ${count} values`);
  if (kind === 'plain') {
    const dtype = fields['dtype'];
    if (typeof dtype !== 'string' || !Object.hasOwn(dtypes, dtype) || dtypes[dtype as DType].blockBytes === 0)
      throw fail(`its type must have values of a fixed number of bytes, got ${quoteValue(dtype)}`);
    const needed = byteLength(dtype as DType, shape);
    if (needed !== length) throw fail(`${dtype} [${shape.join(', ')}] needs ${needed} bytes, but the table gives ${length}`);
    return { name, kind, shape, dtype: dtype as DType, data: [offset, length] };
  }
  const { transposed, groupSize, groups } = fields;
  if (typeof transposed !== 'boolean' || (transposed && shape.length !== 2))
    throw fail('transposed must be true or false, and only matrices can be transposed');
  if (!isCount(groupSize)) throw fail('its group size must be a whole number');
  const shared = { name, shape, transposed, groupSize, data: [offset, length] as const };
  if (kind === 'learned') {
    const size = groupSize === 0 ? Math.max(1, count) : groupSize;
    if (!isClasses(groups, Math.ceil(count / size), 15))
      throw fail(`its group counts must list ascending widths from 0 to 15 and a total of ${Math.ceil(count / size)} groups`);
    return { ...shared, kind, groups };
  }
  if (kind !== 'grouped') throw fail(`its kind must be learned, grouped or plain, got ${quoteValue(kind)}`);
  const { bits, granularity, symmetric, scales } = fields;
  const { rows, columns } = matrixOf(shape);
  const soundBits = isCount(bits) && bits >= 1 && bits <= 8;
  const sound =
    groupSize >= 1 && (granularity === 'group' || granularity === 'row' || granularity === 'tensor') && typeof symmetric === 'boolean';
  if (!soundBits || !sound || (scales !== 'float16' && scales !== 'float32'))
    throw fail('it needs bits from 1 to 8, a group size, a granularity, a symmetric flag, and the type of its scales');
  const total = rows * Math.ceil(columns / groupSize);
  if (groups !== undefined && (!isClasses(groups, total, bits) || granularity === 'tensor'))
    throw fail(`its group counts must list ascending widths up to ${bits} and a total of ${total} groups`);
  return { ...shared, kind, bits, granularity, symmetric, scales, ...(groups === undefined ? {} : { groups }) };
}

function isClasses(value: unknown, total: number, widest: number): value is readonly (readonly [number, number])[] {
  if (!Array.isArray(value)) return false;
  let before = -1;
  let sum = 0;
  for (const item of value as unknown[]) {
    if (!isCounts(item) || item.length !== 2 || (item[0] as number) <= before || (item[0] as number) > widest) return false;
    before = item[0] as number;
    sum += item[1] as number;
  }
  return sum === total;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isCount);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Bits per weight of the tensors that are not plain, computed from the table alone. Undefined if there are none. */
export function packedBitsPerWeight({ tensors }: ArchiveTable): number | undefined {
  const packed = tensors.filter(({ kind }) => kind !== 'plain');
  const weights = packed.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return weights === 0 ? undefined : (packed.reduce((sum, { data }) => sum + data[1], 0) * 8) / weights;
}
