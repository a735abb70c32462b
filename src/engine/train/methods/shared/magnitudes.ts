/** Largest magnitude; 0 for an empty tensor. */
export function largestMagnitude(weights: Float32Array): number {
  let largest = 0;
  for (let index = 0; index < weights.length; index += 1) largest = Math.max(largest, Math.abs(weights[index] as number));
  return largest;
}

/** The magnitude below which a share of the weights falls; 0 prunes none. Weights of exactly this magnitude stay. */
export function keptThreshold(weights: Float32Array, share: number): number {
  const pruned = Math.floor(weights.length * share);
  if (pruned <= 0) return 0;
  const magnitudes = weights.map(Math.abs).sort();
  return magnitudes[Math.min(pruned, magnitudes.length - 1)] as number;
}

/** Weights with those below the threshold set to 0. */
export const prunedWeights = (weights: Float32Array, threshold: number): Float32Array =>
  weights.map((weight) => (Math.abs(weight) < threshold ? 0 : weight));
