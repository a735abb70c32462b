/**
 * 1.5 * 2^52. Adding it to a float64 of magnitude up to 2^51 and subtracting it again rounds to the nearest integer, ties to even: the sum
 * is in the range where float64 has steps of exactly 1. Hot loops write `value + halfEvenShift - halfEvenShift` inline, which is several
 * times faster than a call that handles every magnitude.
 */
export const halfEvenShift = 1.5 * 2 ** 52;

/**
 * Rounds to the nearest integer, ties to even, as ONNX Round, QuantizeLinear and PyTorch do; JavaScript's Math.round rounds ties upwards.
 * Any float64: from 2^52 on, NaN and infinities are returned unchanged; zero loses its sign.
 */
export function roundHalfToEven(value: number): number {
  if (Math.abs(value) <= 2 ** 51) return value + halfEvenShift - halfEvenShift;
  // Between 2^51 and 2^52 there are still halves, beyond the range of the shift.
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (Math.abs(below) % 2) : value;
}
