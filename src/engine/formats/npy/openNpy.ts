/**
 * NumPy .npy files, versions 1 to 3. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * Magic `\x93NUMPY`, version (2 bytes), header length (2 or 4 bytes, little-endian), a Python dictionary as text, then the data.
 */
import path from 'node:path';
import type { DType } from '../../../protocol/dtypes';
import { byteLength } from '../../../protocol/dtypes';
import type { TensorContainer, TensorEntry } from '../container';
import { FileContainer } from '../fileContainer';
import { ownEntry } from '../../../common/ownEntry';
import { RandomAccessFile } from '../files/randomAccessFile';
import { decodeUtf8 } from '../files/readText';
import { malformedFile, quoteName, safeProduct, unsupportedContent, fileTooShort, wrongMagic } from '../malformed';

const dtypeOfDescription: Readonly<Record<string, DType>> = {
  b1: 'bool',
  u1: 'uint8',
  i1: 'int8',
  u2: 'uint16',
  i2: 'int16',
  u4: 'uint32',
  i4: 'int32',
  u8: 'uint64',
  i8: 'int64',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  c8: 'complex64',
  c16: 'complex128',
};

/** Maximum length of a header; NumPy itself refuses more than 10,000 bytes unless told otherwise. */
const largestHeader = 1e6;

/**
 * Opens a .npy file as a container with one tensor, named after the file. Little-endian, C order (a one-dimensional array has both orders).
 * Errors: `malformed-file`; `unsupported` for big-endian, Fortran order, objects (pickle), text and structured arrays, each with advice for
 * NumPy.
 */
export async function openNpy(file: string): Promise<TensorContainer> {
  const absolute = path.resolve(file);
  const entry = await readNpyHeader(absolute);
  return new FileContainer({
    format: 'npy',
    path: absolute,
    tensors: new Map([[entry.name, entry]]),
    metadata: {},
    diagnostics: [],
    weightFiles: [absolute],
  });
}

/** A whole array in memory: stored bytes (little-endian, row-major) with type and shape. */
export interface NpyArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Reads a whole .npy file. Errors as for `openNpy`. */
export async function readNpy(file: string): Promise<NpyArray> {
  const container = await openNpy(file);
  try {
    const [entry] = container.tensors.values();
    const { dtype, shape, name } = entry as TensorEntry;
    return { dtype, shape, bytes: await container.read(name) };
  } finally {
    await container.close();
  }
}

async function readNpyHeader(absolute: string): Promise<TensorEntry> {
  const file = await RandomAccessFile.open(absolute);
  try {
    if (file.size < 10) throw fileTooShort(absolute, 'A .npy file', 10, file.size);
    const prefix = await file.read(0, Math.min(12, file.size));
    if (Buffer.from(prefix.subarray(0, 6)).toString('latin1') !== '\x93NUMPY') throw wrongMagic(absolute, 'A .npy file', '\\x93NUMPY');
    const version = prefix[6] as number;
    if (version < 1 || version > 3)
      throw unsupportedContent(
        absolute,
        'unknown-version',
        `${absolute} is .npy version ${version}, but only versions 1 to 3 can be read. Save it again with numpy.save.`,
      );
    const start = version === 1 ? 10 : 12;
    if (prefix.length < start) throw malformedFile(absolute, 8, 'truncated', 'The file ends within its length field');
    const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.length);
    const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
    if (length > largestHeader)
      throw malformedFile(
        absolute,
        8,
        'header-too-long',
        `Loomweight reads .npy headers of at most ${largestHeader} bytes, but this one declares ${length}`,
      );
    const bytes = await file.read(start, length);
    const text = version === 3 ? decodeUtf8(bytes, absolute, start) : Buffer.from(bytes).toString('latin1');
    return describe(parseNpyHeader(text, absolute, start), absolute, start + length, file.size);
  } finally {
    await file.close();
  }
}

interface NpyHeader {
  readonly description: string;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/** Parses the dictionary that numpy.save writes: the three keys in any order and no others. */
function parseNpyHeader(text: string, file: string, offset: number): NpyHeader {
  const fail = (message: string) => malformedFile(file, offset, 'invalid-header', message);
  const trimmed = text.trim();
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}')) throw fail('A .npy header must be a Python dictionary, but this one is not');
  const description = /(['"])descr\1\s*:\s*(?:(['"])([^'"]*)\2|(\[))/.exec(trimmed);
  const order = /(['"])fortran_order\1\s*:\s*(True|False)/.exec(trimmed);
  const shape = /(['"])shape\1\s*:\s*\(([^()]*)\)/.exec(trimmed);
  if (!description || !order || !shape) throw fail("A .npy header needs 'descr', 'fortran_order' and 'shape'");
  if (description[4] !== undefined)
    throw unsupportedContent(file, 'unsupported-dtype', `${file} is a structured array. Save each field as a separate array.`);
  const inner = (shape[2] ?? '').trim();
  const parts = inner === '' ? [] : inner.replace(/,$/, '').split(',');
  const sizes = parts.map((part) => (/^\s*\d{1,16}L?\s*$/.test(part) ? Number.parseInt(part, 10) : NaN));
  if (sizes.length > 64 || sizes.some((size) => !Number.isSafeInteger(size)))
    throw fail(`The shape of a .npy file must be whole numbers below 2^53, got (${inner.slice(0, 60)})`);
  return { description: description[3] ?? '', fortranOrder: order[2] === 'True', shape: sizes };
}

function describe(header: NpyHeader, file: string, dataStart: number, fileSize: number): TensorEntry {
  const { description, shape } = header;
  const order = description[0] ?? '';
  const dtype = /^[<>|=]/.test(description) ? ownEntry(dtypeOfDescription, description.slice(1)) : undefined;
  if (dtype === undefined)
    throw unsupportedContent(
      file,
      'unsupported-dtype',
      `${file} has the NumPy type ${quoteName(description)}; only numbers and booleans can be read, not objects or text. Save it with .astype('float32').`,
    );
  const wide = byteLength(dtype, [1]) > 1;
  if (order === '>' && wide)
    throw unsupportedContent(file, 'big-endian', `${file} is big-endian. Save it again with .astype('${description.replace('>', '<')}').`);
  if (header.fortranOrder && shape.filter((size) => size > 1).length > 1)
    throw unsupportedContent(file, 'fortran-order', `${file} is in Fortran order. Save it again with numpy.ascontiguousarray.`);
  const count = safeProduct(shape);
  const bytes = count === undefined ? undefined : safeProduct([count, byteLength(dtype, [1])]);
  if (bytes === undefined || dataStart + bytes > fileSize)
    throw malformedFile(
      file,
      dataStart,
      'truncated',
      `Shape (${shape.join(', ')}) needs ${bytes ?? 'more than 2^53'} bytes, but the file has ${fileSize - dataStart}`,
    );
  if (dataStart + bytes < fileSize)
    throw malformedFile(file, dataStart + bytes, 'trailing-data', `${fileSize - dataStart - bytes} extra bytes follow the array`);
  const name = path.basename(file).replace(/\.npy$/i, '');
  return { name, dtype, shape, bytes, location: { file, offset: dataStart, length: bytes } };
}
