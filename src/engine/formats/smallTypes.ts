/**
 * Floats of 4, 6 and 8 bits and integers of 2 and 4 bits. Sources: "OCP 8-bit Floating Point Specification" (E4M3, E5M2) and "OCP
 * Microscaling Formats (MX)" v1.0 (E2M1, E2M3, E3M2, E8M0); the FNUZ variants as in the ONNX documentation of float 8. Elements below 8
 * bits are packed lowest bits first.
 */
import type { DType } from '../../protocol/dtypes';

interface SmallFloat {
  readonly exponentBits: number;
  readonly fractionBits: number;
  readonly bias: number;
  /**
   * `ieee`: the top exponent is infinity and NaN; `fn`: only all ones is NaN; `fnuz`: only negative zero is NaN; `finite`: neither exists.
   */
  readonly special: 'ieee' | 'fn' | 'fnuz' | 'finite';
}

const smallFloats: Readonly<Partial<Record<DType, SmallFloat>>> = {
  float8_e4m3fn: { exponentBits: 4, fractionBits: 3, bias: 7, special: 'fn' },
  float8_e4m3fnuz: { exponentBits: 4, fractionBits: 3, bias: 8, special: 'fnuz' },
  float8_e5m2: { exponentBits: 5, fractionBits: 2, bias: 15, special: 'ieee' },
  float8_e5m2fnuz: { exponentBits: 5, fractionBits: 2, bias: 16, special: 'fnuz' },
  float6_e2m3: { exponentBits: 2, fractionBits: 3, bias: 1, special: 'finite' },
  float6_e3m2: { exponentBits: 3, fractionBits: 2, bias: 3, special: 'finite' },
  float4_e2m1: { exponentBits: 2, fractionBits: 1, bias: 1, special: 'finite' },
};

/** Value of every code of a float of at most 8 bits; undefined for other types. */
export function smallFloatTable(dtype: DType): Float32Array | undefined {
  // E8M0 is a scale: a power of two without sign or fraction, 255 is NaN.
  if (dtype === 'float8_e8m0') return Float32Array.from({ length: 256 }, (_, code) => (code === 255 ? NaN : 2 ** (code - 127)));
  const layout = smallFloats[dtype];
  if (!layout) return undefined;
  const length = 2 ** (1 + layout.exponentBits + layout.fractionBits);
  return Float32Array.from({ length }, (_, code) => smallFloatValue(code, layout));
}

function smallFloatValue(code: number, { exponentBits, fractionBits, bias, special }: SmallFloat): number {
  const signBit = 1 << (exponentBits + fractionBits);
  const sign = code & signBit ? -1 : 1;
  const magnitude = code & (signBit - 1);
  const exponent = magnitude >> fractionBits;
  const fraction = magnitude & ((1 << fractionBits) - 1);
  if (special === 'fnuz' && code === signBit) return NaN;
  if (special === 'fn' && magnitude === signBit - 1) return NaN;
  if (special === 'ieee' && exponent === (1 << exponentBits) - 1) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (1 + fraction / (1 << fractionBits)) * 2 ** (exponent - bias);
}

const smallIntegers: Readonly<Partial<Record<DType, { readonly bits: number; readonly signed: boolean }>>> = {
  int4: { bits: 4, signed: true },
  uint4: { bits: 4, signed: false },
  int2: { bits: 2, signed: true },
  uint2: { bits: 2, signed: false },
};

/** The decoder of a type whose elements share bytes; undefined for other types. It fills `out` and reads no further. */
export function unpackSmall(dtype: DType): ((bytes: Uint8Array, out: Float32Array) => void) | undefined {
  const integer = smallIntegers[dtype];
  if (integer) {
    const { bits, signed } = integer;
    const half = signed ? 1 << (bits - 1) : 0;
    return (bytes, out) => unpack(bytes, bits, out, (code) => (code ^ half) - half);
  }
  const layout = smallFloats[dtype];
  if (!layout || layout.exponentBits + layout.fractionBits > 6) return undefined;
  return (bytes, out) => {
    const table = smallFloatTable(dtype) as Float32Array;
    unpack(bytes, 1 + layout.exponentBits + layout.fractionBits, out, (code) => table[code] as number);
  };
}

function unpack(bytes: Uint8Array, bits: number, out: Float32Array, value: (code: number) => number): void {
  const mask = (1 << bits) - 1;
  for (let i = 0; i < out.length; i += 1) {
    const at = i * bits;
    const byte = at >> 3;
    const pair = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8);
    out[i] = value((pair >> (at & 7)) & mask);
  }
}
