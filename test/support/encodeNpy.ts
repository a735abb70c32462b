import type { DType } from '../../src/protocol/dtypes';
import { LoomweightError } from '../../src/protocol/errors';

const descriptions: Readonly<Partial<Record<DType, string>>> = {
  bool: '|b1',
  uint8: '|u1',
  int8: '|i1',
  uint16: '<u2',
  int16: '<i2',
  uint32: '<u4',
  int32: '<i4',
  uint64: '<u8',
  int64: '<i8',
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
};

/** A .npy file of version 1 as bytes; data little-endian, row-major. Errors: `unsupported` for types that NumPy has not. */
export function encodeNpy(dtype: DType, shape: readonly number[], data: Uint8Array): Uint8Array {
  const description = descriptions[dtype];
  if (description === undefined)
    throw new LoomweightError('unsupported', `NumPy has no type for ${dtype}. Convert to float32 first.`, { dtype });
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${description}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  // The data begins at a multiple of 64; the header ends with a line feed.
  const headerLength = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const out = Buffer.alloc(10 + headerLength + data.length, ' ');
  out.write('\x93NUMPY\x01\x00', 0, 'latin1');
  out.writeUInt16LE(headerLength, 8);
  out.write(text, 10, 'latin1');
  out[10 + headerLength - 1] = 0x0a;
  out.set(data, 10 + headerLength);
  return new Uint8Array(out.buffer, out.byteOffset, out.length);
}
