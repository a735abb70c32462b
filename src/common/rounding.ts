/**
 * 1.5 * 2^52. Adding it to a float64 of magnitude up to 2^51 and taking it away again rounds to the nearest whole number, ties to even: the sum
 * lies where float64 has steps of exactly 1. Hot loops write `value + halfEvenShift - halfEvenShift` themselves, which measures several times
 * faster than a call that has to think of every magnitude.
 */
export const halfEvenShift = 1.5 * 2 ** 52;

/**
 * Rounds to the nearest whole number, ties to the even neighbour, as ONNX Round, QuantizeLinear and PyTorch do; JavaScript's Math.round sends
 * ties upwards. Any float64: from 2^52 on, NaN and infinities come back unchanged; a zero comes back without its sign.
 */
export function roundHalfToEven(value: number): number {
  if (Math.abs(value) <= 2 ** 51) return value + halfEvenShift - halfEvenShift;
  // Between 2^51 and 2^52 halves still exist, beyond the reach of the shift.
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (Math.abs(below) % 2) : value;
}
