/** GGUF, versions 2 and 3, little-endian. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
import path from 'node:path';
import { dtypes, type DType } from '../../../protocol/dtypes';
import type { Diagnostic } from '../../../protocol/model';
import type { TensorContainer, TensorEntry } from '../container';
import { FileContainer } from '../fileContainer';
import { RandomAccessFile } from '../files/randomAccessFile';
import { malformedFile, quoteName, safeProduct, unsupportedContent, fileTooShort, wrongMagic } from '../malformed';
import { ByteReader } from './byteReader';
import { describeValue, readValue, type GgufValue } from './metadata';

/** Element types by their number in the file. Unknown numbers are listed as `gguf_other`. */
const dtypeOfNumber: Readonly<Record<number, DType>> = {
  0: 'float32',
  1: 'float16',
  2: 'q4_0',
  3: 'q4_1',
  6: 'q5_0',
  7: 'q5_1',
  8: 'q8_0',
  9: 'q8_1',
  10: 'q2_k',
  11: 'q3_k',
  12: 'q4_k',
  13: 'q5_k',
  14: 'q6_k',
  15: 'q8_k',
  24: 'int8',
  25: 'int16',
  26: 'int32',
  27: 'int64',
  28: 'float64',
  30: 'bfloat16',
};

const mostAxes = 8;
const longestName = 65_535;
/** Minimum sizes of a tensor's description and of a metadata entry, which bound hostile counts. */
const smallestInfo = 8 + 4 + 4 + 8;
const smallestPair = 8 + 4 + 1;

/** An opened GGUF file: its metadata as values, in addition to the container interface. */
export interface GgufContainer extends TensorContainer {
  readonly values: ReadonlyMap<string, GgufValue>;
}

/**
 * Opens a GGUF file of any architecture: metadata and tensor descriptions, but no weights. Shapes are given in the usual order (rows first;
 * the file stores them reversed). Errors: `malformed-file` with the position; `unsupported` for version 1, big-endian files and models
 * split over several files.
 */
export async function openGguf(model: string): Promise<GgufContainer> {
  const absolute = path.resolve(model);
  const file = await RandomAccessFile.open(absolute);
  try {
    const reader = new ByteReader(file);
    const counts = await readPrelude(reader);
    const values = await readMetadata(reader, counts.metadata);
    const split = values.get('split.count');
    const diagnostics: Diagnostic[] = [];
    if (typeof split === 'number' && split > 1) diagnostics.push(splitNotice(absolute, split));
    const infos = await readInfos(reader, counts.tensors);
    const tensors = placeTensors(infos, values, reader, diagnostics);
    const metadata = Object.fromEntries([...values].map(([key, value]) => [key, describeValue(value)]));
    const container = new FileContainer({ format: 'gguf', path: absolute, tensors, metadata, diagnostics, weightFiles: [absolute] });
    return Object.assign(container, { values });
  } finally {
    await file.close();
  }
}

async function readPrelude(reader: ByteReader): Promise<{ readonly tensors: number; readonly metadata: number }> {
  const { file } = reader;
  if (file.size < 24) throw fileTooShort(file.path, 'A GGUF file', 24, file.size);
  const magic = await reader.uint32();
  if (magic !== 0x46554747) throw wrongMagic(file.path, 'A GGUF file', 'the letters GGUF');
  const version = await reader.uint32();
  // A big-endian file has its small version number in the highest byte.
  if (version >= 2 ** 16)
    throw unsupportedContent(file.path, 'big-endian', `${file.path} is a big-endian GGUF file. Convert it with gguf_convert_endian.`);
  if (version !== 2 && version !== 3)
    throw unsupportedContent(
      file.path,
      'unknown-version',
      `${file.path} is GGUF version ${version}, but only versions 2 and 3 can be read. Convert the model again.`,
    );
  const tensors = await reader.size('The number of tensors');
  const metadata = await reader.size('The number of metadata entries');
  if (tensors * smallestInfo > reader.remaining || metadata * smallestPair > reader.remaining)
    throw reader.fail(
      'length-too-large',
      `The file declares ${tensors} tensors and ${metadata} metadata entries, more than its ${file.size} bytes can hold`,
      8,
    );
  return { tensors, metadata };
}

async function readMetadata(reader: ByteReader, count: number): Promise<Map<string, GgufValue>> {
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < count; i += 1) {
    const start = reader.position;
    const key = await reader.text('A metadata key', longestName);
    if (values.has(key)) throw reader.fail('duplicate-name', `Metadata ${quoteName(key)} appears twice`, start);
    values.set(key, await readValue(reader, await reader.uint32(), key));
  }
  return values;
}

interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
  /** Position of the description, for messages. */
  readonly at: number;
}

async function readInfos(reader: ByteReader, count: number): Promise<readonly TensorInfo[]> {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i += 1) {
    const at = reader.position;
    const name = await reader.text('A tensor name', longestName);
    if (names.has(name)) throw reader.fail('duplicate-name', `Tensor ${quoteName(name)} appears twice`, at);
    names.add(name);
    const axes = await reader.uint32();
    if (axes > mostAxes)
      throw reader.fail('too-many-axes', `Tensor ${quoteName(name)} declares ${axes} axes, but at most ${mostAxes} are possible`, at);
    const shape: number[] = [];
    for (let axis = 0; axis < axes; axis += 1) shape.unshift(await reader.size(`A dimension of tensor ${quoteName(name)}`));
    const type = await reader.uint32();
    infos.push({ name, shape, type, offset: await reader.size(`The offset of tensor ${quoteName(name)}`), at });
  }
  return infos;
}

/** Determines the position of every tensor in the file and checks it: alignment, whole blocks, within the file, no overlap. */
function placeTensors(
  infos: readonly TensorInfo[],
  values: ReadonlyMap<string, GgufValue>,
  reader: ByteReader,
  diagnostics: Diagnostic[],
): ReadonlyMap<string, TensorEntry> {
  const { path: file, size } = reader.file;
  const alignment = values.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 1 || alignment > 2 ** 20)
    throw reader.fail('invalid-alignment', `general.alignment must be a whole number from 1 to 2^20, got ${describeValue(alignment)}`);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const sorted = [...infos].sort((a, b) => a.offset - b.offset);
  const placed = new Map<string, TensorEntry>();
  let end = 0;
  let before = '';
  sorted.forEach((info, i) => {
    const { name, shape, at, offset } = info;
    const dtype = Object.hasOwn(dtypeOfNumber, info.type) ? dtypeOfNumber[info.type] : undefined;
    // The size of an unknown type is unknown: assume up to the next tensor.
    const bytes = dtype === undefined ? (sorted[i + 1]?.offset ?? size - dataStart) - offset : bytesOf(dtype, shape);
    if (bytes === undefined)
      throw malformedFile(
        file,
        at,
        'size-mismatch',
        `Tensor ${quoteName(name)} of type ${dtype} and shape [${shape.join(', ')}] does not have a whole number of blocks per row`,
      );
    if (offset % alignment !== 0)
      throw malformedFile(
        file,
        at,
        'misaligned-offset',
        `Tensor ${quoteName(name)} starts at ${offset}, which is not a multiple of ${alignment}`,
      );
    if (offset < end && bytes > 0)
      throw malformedFile(
        file,
        at,
        'overlapping-offsets',
        `Tensor ${quoteName(name)} starts at ${offset}, inside ${quoteName(before)}, which ends at ${end}`,
      );
    if (bytes < 0 || dataStart + offset + bytes > size)
      throw malformedFile(
        file,
        at,
        'truncated',
        `Tensor ${quoteName(name)} ends at byte ${dataStart + offset + bytes}, but the file has only ${size}`,
      );
    if (bytes > 0) {
      end = offset + bytes;
      before = name;
    }
    if (dtype === undefined) diagnostics.push(unknownType(file, info));
    placed.set(name, { name, dtype: dtype ?? 'gguf_other', shape, bytes, location: { file, offset: dataStart + offset, length: bytes } });
  });
  // File order is layer order.
  return new Map(infos.map(({ name }) => [name, placed.get(name) as TensorEntry]));
}

/** Blocks run along the last axis; a row is a whole number of them. */
function bytesOf(dtype: DType, shape: readonly number[]): number | undefined {
  const { blockSize, blockBytes } = dtypes[dtype];
  const columns = shape.at(-1) ?? 1;
  if (columns % blockSize !== 0) return undefined;
  return safeProduct([...shape.slice(0, -1), columns / blockSize, blockBytes]);
}

function unknownType(file: string, { name, type, at }: TensorInfo): Diagnostic {
  const message = `Tensor ${quoteName(name)} has the GGUF type ${type}, whose values cannot be read; it is only listed.`;
  return { severity: 'warning', code: 'unknown-dtype', message, file, offset: at, subject: name };
}

function splitNotice(file: string, count: number): Diagnostic {
  const message = `This is one of ${count} files of a split model; only its own tensors are shown. Join them with gguf-split --merge.`;
  return { severity: 'warning', code: 'split-model', message, file };
}
