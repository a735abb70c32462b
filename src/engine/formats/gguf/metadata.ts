import { quoteName } from '../malformed';
import type { ByteReader } from './byteReader';

/** A value of GGUF metadata. 64-bit integers beyond 2^53 are kept exact as bigint. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

const textType = 8;
const arrayType = 9;
/**
 * Size in bytes of each scalar type by its number: uint8, int8, uint16, int16, uint32, int32, float32, bool, -, -, uint64, int64, float64.
 */
const scalarBytes: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];

/** Maximum length of texts and arrays; real vocabularies have about 300,000 entries. */
const longestText = 64e6;
const longestArray = 16e6;
const deepestNesting = 4;

/** Reads one value of the type with the given number. Errors: `malformed-file`. */
export async function readValue(reader: ByteReader, type: number, key: string, depth = 0): Promise<GgufValue> {
  if (type === textType) return reader.text(`Metadata ${quoteName(key)}`, longestText);
  if (type === arrayType) return readArray(reader, key, depth);
  const width = scalarBytes[type];
  if (width === undefined) throw reader.fail('unknown-metadata-type', `Metadata ${quoteName(key)} has the unknown type ${type}`);
  if (!reader.has(width)) await reader.fill(width);
  return scalar(reader, type, width);
}

async function readArray(reader: ByteReader, key: string, depth: number): Promise<readonly GgufValue[]> {
  const type = await reader.uint32();
  const count = await reader.size(`The length of metadata ${quoteName(key)}`);
  const smallest = type === textType ? 8 : type === arrayType ? 12 : scalarBytes[type];
  if (smallest === undefined)
    throw reader.fail('unknown-metadata-type', `Metadata ${quoteName(key)} is a list of the unknown type ${type}`);
  if (depth >= deepestNesting)
    throw reader.fail('nested-too-deep', `Metadata ${quoteName(key)} nests lists more than ${deepestNesting} deep`);
  if (count > longestArray || count * smallest > reader.remaining)
    throw reader.fail(
      'length-too-large',
      `Metadata ${quoteName(key)} declares ${count} values, more than the file can hold`,
      reader.position - 8,
    );
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i += 1) {
    // Awaiting each of 300,000 numbers would take longer than reading them.
    if (type !== textType && type !== arrayType && reader.has(smallest)) values.push(scalar(reader, type, smallest));
    else values.push(await readValue(reader, type, key, depth + 1));
  }
  return values;
}

function scalar(reader: ByteReader, type: number, width: number): GgufValue {
  const { view, at } = reader.take(width);
  switch (type) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getInt8(at);
    case 2:
      return view.getUint16(at, true);
    case 3:
      return view.getInt16(at, true);
    case 4:
      return view.getUint32(at, true);
    case 5:
      return view.getInt32(at, true);
    case 6:
      return view.getFloat32(at, true);
    case 7:
      return view.getUint8(at) !== 0;
    case 10:
      return exact(view.getBigUint64(at, true));
    case 11:
      return exact(view.getBigInt64(at, true));
    default:
      return view.getFloat64(at, true);
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A value for display: long lists as their length and first entries. */
export function describeValue(value: GgufValue): string {
  if (typeof value === 'object') {
    const first = value.slice(0, 4).map(describeValue).join(', ');
    return value.length <= 4 ? `[${first}]` : `[${first}, … ${value.length} values]`;
  }
  return typeof value === 'string' ? value.slice(0, 2000) : String(value);
}
