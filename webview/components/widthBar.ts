import { histogramText } from '../../src/common/bitHistogram';
import type { BitHistogram } from '../../src/protocol/report';
import { inkOn, widthColour } from '../charts/widthColours';
import type { ThemeColours } from '../host/theme';
import { element } from './dom';

/** Segments narrower than this fraction of the scale have no room for their number. */
const labelled = 0.05;

/** A bar as long as the mean width, split into segments by the share of weights at each width. `scale` is the width that fills it. */
export function widthBar(histogram: BitHistogram, scale: number, theme: ThemeColours, kind = 'own'): HTMLElement {
  const total = histogram.weights.reduce((sum, weights) => sum + weights, 0);
  const bar = element('span', { class: `width-bar ${kind}`, role: 'img', 'aria-label': `bits: ${histogramText(histogram)}` });
  if (total === 0) return bar;
  const mean = histogram.bits.reduce((sum, bits, index) => sum + bits * (histogram.weights[index] ?? 0), 0) / total;
  bar.style.width = `${Math.min(100, Math.max(1, (100 * mean) / scale))}%`;
  histogram.bits.forEach((bits, index) => {
    const share = (histogram.weights[index] ?? 0) / total;
    if (share === 0) return;
    const colour = widthColour(bits, theme);
    const segment = element('span', { class: 'width', text: (share * mean) / scale > labelled ? String(bits) : '' });
    segment.style.width = `${100 * share}%`;
    segment.style.background = colour;
    segment.style.color = inkOn(colour);
    bar.append(segment);
  });
  return bar;
}

/** A width as text. */
export function widthWords(bits: number): string {
  return bits === 0 ? 'pruned' : bits === 1 ? '1 bit' : `${bits} bits`;
}

/** The legend: each width that occurs, with its colour. */
export function widthLegend(widths: readonly number[], theme: ThemeColours): HTMLElement {
  return element(
    'ul',
    { class: 'width-legend', 'aria-label': 'Colour of each width' },
    widths.map((bits) => {
      const swatch = element('span', { class: 'swatch', 'aria-hidden': 'true' });
      swatch.style.background = widthColour(bits, theme);
      return element('li', {}, [swatch, widthWords(bits)]);
    }),
  );
}
