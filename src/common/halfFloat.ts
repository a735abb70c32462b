/**
 * Conversions between 16-bit floating point and numbers.
 * float16: IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits). bfloat16: the upper half of binary32.
 * Narrowing rounds half to even, as CPUs and PyTorch do; overflow gives infinity; NaN stays NaN.
 */
import { halfEvenShift } from './rounding';

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** The value of a float16 bit pattern. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The float16 bit pattern nearest to a number (which is rounded to float32 first). */
export function numberToFloat16(value: number): number {
  scratchFloat[0] = value;
  const x = scratchBits[0] as number;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 2^16 and above, infinity included
  if (magnitude < 0x38800000) {
    // Below 2^-14: subnormal. In units of 2^-24 the value is small enough to be rounded exactly in float64.
    const units = Math.abs(scratchFloat[0] as number) * 2 ** 24;
    return sign | (units + halfEvenShift - halfEvenShift);
  }
  const half = (magnitude - 0x38000000) >>> 13;
  const rest = magnitude & 0x1fff;
  // A carry out of the fraction correctly propagates into the exponent, and from 65520 on gives infinity.
  return sign | (rest > 0x1000 || (rest === 0x1000 && half & 1) ? half + 1 : half);
}

/** The value of a bfloat16 bit pattern. */
export function bfloat16ToNumber(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratchFloat[0] as number;
}

/** The bfloat16 bit pattern nearest to a number (which is rounded to float32 first). */
export function numberToBfloat16(value: number): number {
  scratchFloat[0] = value;
  const x = scratchBits[0] as number;
  if ((x & 0x7fffffff) > 0x7f800000) return (x >>> 16) | 0x40;
  return ((x + 0x7fff + ((x >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * The float32 values of all 65,536 codes of a 16-bit format, so that widening is one table lookup per value. Made from bits: every thread makes its own before it does
 * anything else, so time counts.
 */
export function decodingTable(format: 'float16' | 'bfloat16'): Float32Array {
  const values = new Float32Array(65536);
  const bits = new Uint32Array(values.buffer);
  if (format === 'bfloat16') {
    // As arithmetic does, a signalling NaN becomes a quiet one.
    for (let code = 0; code < bits.length; code += 1) bits[code] = ((code & 0x7fff) > 0x7f80 ? code | 0x40 : code) << 16;
    return values;
  }
  for (let code = 0; code < 0x8000; code += 1) {
    const fraction = code & 0x3ff;
    if (code < 0x400) values[code] = fraction * 2 ** -24;
    else if (code >= 0x7c00) values[code] = fraction === 0 ? Infinity : NaN;
    else bits[code] = (code << 13) + 0x38000000;
    // NaN has no sign.
    bits[code + 0x8000] = code > 0x7c00 ? (bits[code] as number) : (bits[code] as number) | 0x80000000;
  }
  return values;
}
