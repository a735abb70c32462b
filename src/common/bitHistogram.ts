import { formatNumber } from './units';

/** Widths with their share of the weights: `3: 25 %, 4: 75 %`. Widths without weights are omitted. */
export function histogramText(histogram: { readonly bits: readonly number[]; readonly weights: readonly number[] }): string {
  const total = histogram.weights.reduce((sum, weights) => sum + weights, 0);
  return histogram.bits
    .map((bits, index) => ({ bits, weights: histogram.weights[index] ?? 0 }))
    .filter(({ weights }) => weights > 0)
    .map(({ bits, weights }) => `${bits}: ${formatNumber((100 * weights) / total, 2)} %`)
    .join(', ');
}
