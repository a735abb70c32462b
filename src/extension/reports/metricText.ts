import { formatNumber } from '../../common/units';
import type { QualityReport } from '../../protocol/report';

/** Measures as people call them. */
export const metricNames: Readonly<Record<QualityReport['metric'], string>> = {
  perplexity: 'Perplexity',
  accuracy: 'Accuracy',
  auc: 'AUC',
  loss: 'Loss',
};

/** A measured value: an accuracy is a percentage. */
export function metricText(metric: string, value: number): string {
  return metric === 'accuracy' ? `${formatNumber(100 * value, 4)} %` : formatNumber(value, 5);
}
