import { formatNumber } from './units';

/** Measures as people call them. */
export const metricNames = {
  perplexity: 'Perplexity',
  accuracy: 'Accuracy',
  auc: 'AUC',
  loss: 'Loss',
} as const;

/** A measured value: an accuracy is a percentage. */
export function metricText(metric: string, value: number): string {
  return metric === 'accuracy' ? `${formatNumber(100 * value, 4)} %` : formatNumber(value, 5);
}
