import { formatCount, formatNumber } from '../../src/common/units';
import type { Histogram } from '../../src/protocol/model';
import { element, setSpoken } from '../components/dom';
import { readTheme } from '../host/theme';

/**
 * A histogram on a canvas with a table as its text alternative. Bar heights follow the square root of the count, so that
 * the tails of a bell curve stay visible; the caption explains this.
 */
export class HistogramChart {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly axis: HTMLElement;
  private readonly table: HTMLElement;
  private histogram: Histogram | undefined;

  constructor() {
    this.canvas = element('canvas', { class: 'histogram', role: 'img', 'data-testid': 'histogram' });
    this.axis = element('div', { class: 'axis numbers' });
    this.table = element('tbody');
    this.root = element('div', { class: 'picture' }, [
      this.canvas,
      this.axis,
      element('details', { class: 'alternative' }, [
        element('summary', { text: 'Show bins as table' }),
        element('div', { class: 'scroll' }, [
          element('table', { class: 'plain' }, [
            element('thead', {}, [
              element('tr', {}, [element('th', { text: 'From' }), element('th', { text: 'To' }), element('th', { text: 'Values' })]),
            ]),
            this.table,
          ]),
        ]),
      ]),
    ]);
    if (typeof ResizeObserver !== 'undefined') new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Shows a histogram, or an empty one while values are being read. */
  show(histogram: Histogram | undefined): void {
    this.histogram = histogram;
    const counts = histogram?.counts ?? [];
    const { minimum = 0, maximum = 0 } = histogram ?? {};
    const width = (maximum - minimum) / Math.max(1, counts.length);
    this.table.replaceChildren(
      ...counts.map((count, index) =>
        element('tr', {}, [
          element('td', { text: formatNumber(minimum + index * width) }),
          element('td', { text: formatNumber(minimum + (index + 1) * width) }),
          element('td', { text: formatCount(count) }),
        ]),
      ),
    );
    const middle = minimum < 0 && maximum > 0 ? 0 : (minimum + maximum) / 2;
    const place = maximum > minimum ? ((middle - minimum) / (maximum - minimum)) * 100 : 50;
    const centre = element('span', { text: formatNumber(middle) });
    centre.style.left = `${Math.min(80, Math.max(20, place))}%`;
    this.axis.replaceChildren(...axisLabels(histogram, centre));
    setSpoken(this.canvas, describe(histogram));
    this.draw();
  }

  /** Redraws after a change of theme or size. */
  draw(): void {
    const { canvas, histogram } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const context = canvas.getContext('2d');
    if (!context || width === 0 || height === 0) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.scale(scale, scale);
    const theme = readTheme();
    context.clearRect(0, 0, width, height);
    context.fillStyle = theme.line;
    context.fillRect(0, height - 1, width, 1);
    const counts = histogram?.counts ?? [];
    const top = Math.sqrt(Math.max(1, ...counts));
    const step = width / Math.max(1, counts.length);
    const gap = step > 4 ? 1 : 0;
    context.fillStyle = theme.accent;
    counts.forEach((count, index) => {
      const bar = count === 0 ? 0 : Math.max(1, (Math.sqrt(count) / top) * (height - 4));
      context.fillRect(index * step, height - 1 - bar, Math.max(1, step - gap), bar);
    });
    const { minimum = 0, maximum = 0 } = histogram ?? {};
    if (minimum < 0 && maximum > 0) {
      context.fillStyle = theme.foreground;
      context.globalAlpha = 0.5;
      context.fillRect(Math.round((-minimum / (maximum - minimum)) * width), 0, 1, height - 1);
      context.globalAlpha = 1;
    }
  }
}

/** Labels for both ends and the middle; a single label if all values are equal. */
function axisLabels(histogram: Histogram | undefined, centre: HTMLElement): HTMLElement[] {
  if (!histogram) return [];
  const { minimum, maximum } = histogram;
  const low = element('span', { text: formatNumber(minimum) });
  return minimum === maximum ? [low] : [low, centre, element('span', { text: formatNumber(maximum) })];
}

function describe(histogram: Histogram | undefined): string {
  if (!histogram) return 'Histogram, not read yet';
  const total = histogram.counts.reduce((sum, count) => sum + count, 0);
  const peak = histogram.counts.indexOf(Math.max(...histogram.counts));
  const width = (histogram.maximum - histogram.minimum) / histogram.counts.length;
  const centre = histogram.minimum + (peak + 0.5) * width;
  return (
    `Histogram of ${formatCount(total)} values from ${formatNumber(histogram.minimum)} to ${formatNumber(histogram.maximum)}, ` +
    `most of them near ${formatNumber(centre)}`
  );
}
