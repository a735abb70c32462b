import { byteLength, elementCount, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorProto } from './generated/onnx';

/**
 * Values of ONNX tensors as raw little-endian bytes, whichever field of TensorProto stores them. The fields: float_data: float32,
 * complex64. double_data: float64, complex128. int64_data: int64. uint64_data: uint32, uint64. int32_data: int32 and every narrower type,
 * one value each; 16-bit floats as their bit patterns in the low half; 4-bit and 2-bit types as whole packed bytes, one byte per entry.
 * string_data: strings.
 */

/** Types that int32_data may store, with the number of bytes per entry. */
const narrow: Readonly<Partial<Record<DType, 1 | 2 | 4>>> = {
  int32: 4,
  int16: 2,
  uint16: 2,
  float16: 2,
  bfloat16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
  int4: 1,
  uint4: 1,
  int2: 1,
  uint2: 1,
  float4_e2m1: 1,
  float8_e4m3fn: 1,
  float8_e4m3fnuz: 1,
  float8_e5m2: 1,
  float8_e5m2fnuz: 1,
  float8_e8m0: 1,
  // One value per entry in the field's low bits: the schema packs only the 4-bit and 2-bit types.
  float6_e2m3: 1,
  float6_e3m2: 1,
};

/** Number of bytes per entry of int32_data; undefined for types that it does not store. */
export function int32Width(dtype: DType): 1 | 2 | 4 | undefined {
  return narrow[dtype];
}

/**
 * Raw bytes of a tensor whose data is in the message itself. Strings are returned as by `bytesOfStrings`. Throws `malformed-file` if the
 * number of values does not match the shape.
 */
export function bytesOfTensor(tensor: TensorProto, dtype: DType, shape: readonly number[]): Uint8Array {
  const count = elementCount(shape);
  if (dtype === 'string') {
    if (tensor.stringData.length !== count) throw wrongCount(tensor, count, tensor.stringData.length, 'texts');
    return bytesOfStrings(tensor.stringData);
  }
  const expected = byteLength(dtype, shape);
  const bytes = tensor.rawData.byteLength > 0 ? tensor.rawData : typedBytes(tensor, dtype, expected);
  if (bytes.byteLength !== expected) throw wrongCount(tensor, expected, bytes.byteLength, 'bytes');
  return bytes;
}

function typedBytes(tensor: TensorProto, dtype: DType, expected: number): Uint8Array {
  if (dtype === 'float32' || dtype === 'complex64') return new Uint8Array(Float32Array.from(tensor.floatData).buffer);
  if (dtype === 'float64' || dtype === 'complex128') return new Uint8Array(Float64Array.from(tensor.doubleData).buffer);
  if (dtype === 'int64') return new Uint8Array(BigInt64Array.from(tensor.int64Data).buffer);
  if (dtype === 'uint64') return new Uint8Array(BigUint64Array.from(tensor.uint64Data).buffer);
  if (dtype === 'uint32') return new Uint8Array(Uint32Array.from(tensor.uint64Data, Number).buffer);
  switch (narrow[dtype]) {
    case 4:
      return new Uint8Array(Int32Array.from(tensor.int32Data).buffer);
    case 2:
      return new Uint8Array(Uint16Array.from(tensor.int32Data).buffer);
    case 1:
      return dtype === 'float6_e2m3' || dtype === 'float6_e3m2' ? packed6(tensor.int32Data, expected) : Uint8Array.from(tensor.int32Data);
    default:
      throw new LoomweightError('unsupported', `Tensor '${tensor.name}' of type ${dtype} has no raw data.`, { tensor: tensor.name, dtype });
  }
}

/** 6-bit values four to three bytes, lowest bits first, as raw data has them. */
function packed6(values: readonly number[], expected: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(expected, Math.ceil((values.length * 6) / 8)));
  values.forEach((value, index) => {
    const bit = index * 6;
    const shifted = (value & 0x3f) << (bit & 7);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) | (shifted & 0xff);
    if (shifted > 0xff) bytes[(bit >> 3) + 1] = (bytes[(bit >> 3) + 1] as number) | (shifted >> 8);
  });
  return bytes;
}

/** Strings of a tensor in one buffer: for each, its length in bytes (uint32, little-endian) followed by its UTF-8 bytes. */
export function bytesOfStrings(strings: readonly Uint8Array[]): Uint8Array {
  const total = strings.reduce((sum, text) => sum + 4 + text.byteLength, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const text of strings) {
    view.setUint32(offset, text.byteLength, true);
    bytes.set(text, offset + 4);
    offset += 4 + text.byteLength;
  }
  return bytes;
}

/** The inverse of `bytesOfStrings`. */
export function stringsOfBytes(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.byteLength;) {
    const length = view.getUint32(offset, true);
    strings.push(bytes.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return strings;
}

function wrongCount(tensor: TensorProto, expected: number, actual: number, what: string): LoomweightError {
  return new LoomweightError(
    'malformed-file',
    `Tensor '${tensor.name}' needs ${expected} ${what} for its shape, but the file has ${actual}.`,
    {
      tensor: tensor.name,
      expected,
      actual,
    },
  );
}
