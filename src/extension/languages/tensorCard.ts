import { formatBytes, formatCount, formatNumber } from '../../common/units';
import type { Histogram, TensorStatistics, TensorSummary } from '../../protocol/model';

const width = 240;
const height = 44;
/** Bars of the small picture. */
export const cardBins = 48;

/**
 * A histogram as a small SVG, drawn with one colour that reads on light and dark backgrounds. Bars grow with the square
 * root of the count, so that tails stay visible.
 */
export function histogramSvg(histogram: Histogram): string {
  const top = Math.sqrt(Math.max(1, ...histogram.counts));
  const step = width / Math.max(1, histogram.counts.length);
  const bars = histogram.counts
    .map((count, index) => {
      const bar = count === 0 ? 0 : Math.max(1, (Math.sqrt(count) / top) * height);
      return `<rect x="${round(index * step)}" y="${round(height - bar)}" width="${round(Math.max(0.5, step - 0.8))}" height="${round(bar)}"/>`;
    })
    .join('');
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
    `<g fill="#3794ff">${bars}</g></svg>`
  );
}

/** The histogram in characters, for readers without pictures. */
export function histogramBars(histogram: Histogram, characters = 24): string {
  const steps = '▁▂▃▄▅▆▇█';
  const merged = Array.from({ length: characters }, (_, index) => {
    const from = Math.floor((index * histogram.counts.length) / characters);
    const to = Math.max(from + 1, Math.floor(((index + 1) * histogram.counts.length) / characters));
    return histogram.counts.slice(from, to).reduce((sum, count) => sum + count, 0);
  });
  const top = Math.sqrt(Math.max(1, ...merged));
  return merged.map((count) => steps[Math.min(7, Math.floor((Math.sqrt(count) / top) * 7.999))] ?? ' ').join('');
}

/** One line on what a tensor is: `256 × 688 · float16 · 344 KiB`. */
export function tensorLine(tensor: TensorSummary): string {
  return [tensor.shape.join(' × ') || 'scalar', tensor.dtype, formatBytes(tensor.bytes)].join(' · ');
}

/** Rows of the card's table: label and value. */
export function statisticsRows(statistics: TensorStatistics): readonly (readonly [string, string])[] {
  const share = statistics.count === 0 ? '' : ` (${formatNumber((100 * statistics.zeros) / statistics.count, 3)} %)`;
  return [
    ['min', formatNumber(statistics.minimum)],
    ['max', formatNumber(statistics.maximum)],
    ['mean', formatNumber(statistics.mean)],
    ['std', formatNumber(statistics.standardDeviation)],
    ['zeros', `${formatCount(statistics.zeros)}${statistics.zeros === 0 ? '' : share}`],
    ...(statistics.notFinite === 0 ? [] : [['not finite', formatCount(statistics.notFinite)] as const]),
  ];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
