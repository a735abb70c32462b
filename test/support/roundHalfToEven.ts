/**
 * Rounds to the nearest integer, ties to the even neighbour, as ONNX Round, QuantizeLinear and PyTorch do.
 * JavaScript's Math.round sends ties upwards and must not be used on weights.
 * Numbers of magnitude 2^52 and above, NaN and infinities come back unchanged. A zero comes back without its sign.
 */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  if (rest !== 0.5) return value; // NaN and infinities
  return floor % 2 === 0 ? floor : floor + 1;
}
