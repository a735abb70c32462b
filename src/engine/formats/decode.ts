/** Values of stored tensors to float32 and back. Narrowing rounds half to even; see common/halfFloat. */
import { decodingTable, numberToBfloat16, numberToFloat16 } from '../../common/halfFloat';
import { dtypes, type DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import { dequantizeBlocks, isDecodableBlockType } from './gguf/dequantize';
import { smallFloatTable, unpackSmall } from './smallTypes';

/** True if `decodeToFloat32` supports the type. */
export function isDecodable(dtype: DType): boolean {
  return decoders[dtype] !== undefined || isDecodableBlockType(dtype) || unpackSmall(dtype) !== undefined;
}

/** Number of elements in the given number of whole bytes of a type. */
export function elementsIn(dtype: DType, bytes: number): number {
  const { blockSize, blockBytes } = dtypes[dtype];
  return blockBytes === 0 ? 0 : Math.floor(bytes / blockBytes) * blockSize;
}

/**
 * Widens stored values to float32: exact for float16, bfloat16, 8-bit and smaller types, and integers up to 2^24; float64 and larger
 * integers are rounded to float32. Block types are dequantised. Bytes are little-endian and consist of whole blocks. Fills `target` if
 * given (its length is the number of elements), otherwise returns a new array. Errors: `unsupported` for complex numbers, strings and
 * K-quants; `invalid-argument` for a partial element.
 */
export function decodeToFloat32(dtype: DType, bytes: Uint8Array, target?: Float32Array): Float32Array {
  const { blockBytes } = dtypes[dtype];
  if (!isDecodable(dtype))
    throw new LoomweightError('unsupported', `Values of type ${dtype} cannot be read as numbers. ${adviceFor(dtype)}`, { dtype });
  if (bytes.length % blockBytes !== 0)
    throw new LoomweightError('invalid-argument', `Values of type ${dtype} need a multiple of ${blockBytes} bytes, got ${bytes.length}.`, {
      dtype,
    });
  const count = elementsIn(dtype, bytes.length);
  // If a tensor does not fill its last byte (int4 of odd length), `target` gives the true number of elements.
  const out = target ?? new Float32Array(count);
  const decode = decoders[dtype];
  if (decode) decode(bytes, out);
  else if (isDecodableBlockType(dtype)) dequantizeBlocks(dtype, bytes, out);
  else unpackSmall(dtype)?.(bytes, out);
  return out;
}

/**
 * Narrows float32 values to a float type, little-endian. Rounds half to even; overflow gives infinity in float16. Errors: `unsupported` for
 * other types.
 */
export function encodeFromFloat32(dtype: DType, values: Float32Array): Uint8Array {
  switch (dtype) {
    case 'float32':
      return new Uint8Array(values.slice().buffer);
    case 'float64':
      return new Uint8Array(Float64Array.from(values).buffer);
    case 'float16':
    case 'bfloat16': {
      const narrow = dtype === 'float16' ? numberToFloat16 : numberToBfloat16;
      const codes = new Uint16Array(values.length);
      for (let i = 0; i < values.length; i += 1) codes[i] = narrow(values[i] as number);
      return new Uint8Array(codes.buffer);
    }
    default:
      throw new LoomweightError('unsupported', `Values can be written as float16, bfloat16, float32 or float64, but not as ${dtype}.`, {
        dtype,
      });
  }
}

type Decoder = (bytes: Uint8Array, out: Float32Array) => void;

/** Creates a typed array over bytes, copying them only if they are not aligned. (A Buffer's `slice` copies nothing.) */
function over<T>(
  type: { new (buffer: ArrayBufferLike, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
  bytes: Uint8Array,
): T {
  const width = type.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new type(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / width));
}

const tables = new Map<DType, Float32Array>();

/** The lookup table of an 8-bit or 16-bit type, built on first use. */
export function tableOf(dtype: DType): Float32Array | undefined {
  let table = tables.get(dtype);
  if (!table) {
    table = dtype === 'float16' || dtype === 'bfloat16' ? decodingTable(dtype) : smallFloatTable(dtype);
    if (table) tables.set(dtype, table);
  }
  return table;
}

function lookUp(dtype: DType): Decoder {
  return (bytes, out) => {
    const table = tableOf(dtype) as Float32Array;
    const codes = dtypes[dtype].blockBytes === 2 ? over(Uint16Array, bytes) : bytes;
    for (let i = 0; i < out.length; i += 1) out[i] = table[codes[i] as number] as number;
  };
}

/** bfloat16 is the upper half of float32: a shift is faster than a table. */
function widenBfloat16(bytes: Uint8Array, out: Float32Array): void {
  const codes = over(Uint16Array, bytes);
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i += 1) bits[i] = (codes[i] as number) << 16;
}

const widen =
  (view: (bytes: Uint8Array) => ArrayLike<number>): Decoder =>
  (bytes, out) => {
    const values = view(bytes);
    out.set(values.length === out.length ? values : Array.prototype.slice.call(values, 0, out.length));
  };

function widenBig(view: (bytes: Uint8Array) => BigInt64Array | BigUint64Array): Decoder {
  return (bytes, out) => {
    const values = view(bytes);
    for (let i = 0; i < out.length; i += 1) out[i] = Number(values[i]);
  };
}

const decoders: Readonly<Partial<Record<DType, Decoder>>> = {
  bool: (bytes, out) => bytes.forEach((byte, i) => (out[i] = byte === 0 ? 0 : 1)),
  uint8: widen((bytes) => bytes),
  int8: widen((bytes) => over(Int8Array, bytes)),
  uint16: widen((bytes) => over(Uint16Array, bytes)),
  int16: widen((bytes) => over(Int16Array, bytes)),
  uint32: widen((bytes) => over(Uint32Array, bytes)),
  int32: widen((bytes) => over(Int32Array, bytes)),
  uint64: widenBig((bytes) => over(BigUint64Array, bytes)),
  int64: widenBig((bytes) => over(BigInt64Array, bytes)),
  float32: widen((bytes) => over(Float32Array, bytes)),
  float64: widen((bytes) => over(Float64Array, bytes)),
  float16: lookUp('float16'),
  bfloat16: widenBfloat16,
  float8_e4m3fn: lookUp('float8_e4m3fn'),
  float8_e4m3fnuz: lookUp('float8_e4m3fnuz'),
  float8_e5m2: lookUp('float8_e5m2'),
  float8_e5m2fnuz: lookUp('float8_e5m2fnuz'),
  float8_e8m0: lookUp('float8_e8m0'),
};

function adviceFor(dtype: DType): string {
  if (/^q\d_k$|^gguf_other$|^q8_1$/.test(dtype)) return 'Use a GGUF file in F16, BF16, F32, Q8_0, Q5_0, Q5_1, Q4_0 or Q4_1.';
  return 'Tensors of this type can be listed and copied, but not computed with.';
}
