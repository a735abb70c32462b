/** Divides a sum over tokens by their number, in place. */
export function meanOf(sum: Float64Array, tokens: number): Float64Array {
  for (let index = 0; index < sum.length; index += 1) sum[index] = (sum[index] as number) / tokens;
  return sum;
}
