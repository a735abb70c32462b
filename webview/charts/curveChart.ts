import type { ChartDataset, Plugin } from 'chart.js';
import { Chart } from 'chart.js';
import { formatNumber } from '../../src/common/units';
import { element, setSpoken, setText } from '../components/dom';
import type { ThemeColours } from '../host/theme';
import { readTheme } from '../host/theme';
import { axisText } from './axisText';

/** A point of a curve. */
export interface CurvePoint {
  readonly x: number;
  readonly y: number;
}

/** One line or one set of markers. */
export interface CurveSeries {
  readonly label: string;
  readonly points: readonly CurvePoint[];
  readonly colour: (theme: ThemeColours) => string;
  /** `line`: a line; `marks`: separate points; `here`: one large point with a drop line to the horizontal axis. */
  readonly style: 'line' | 'marks' | 'here';
}

/** The text alternative: the same numbers as a sentence and as a table. */
export interface CurveText {
  /** Read out in place of the picture. */
  readonly summary: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Labels, axes and number formats of a chart. */
export interface CurveOptions {
  readonly id: string;
  readonly label: string;
  readonly x: string;
  readonly y: string;
  /** Logarithmic vertical axis. Points at or below zero cannot be drawn on it and appear in the table only. */
  readonly logarithmic?: boolean;
  /** Computes the ends of the horizontal axis from the range of the points. Default: that range. */
  readonly range?: (low: number, high: number) => readonly [low: number, high: number];
  readonly formatX?: (value: number) => string;
  readonly formatY?: (value: number) => string;
}

/** A line chart with a table as its text alternative. Created once, then updated. */
export class CurveChart {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly alternative: HTMLDetailsElement;
  private readonly legend = element('ul', { class: 'curve-legend', 'aria-hidden': 'true' });
  private readonly left = element('p', { class: 'hint' });
  private readonly table = element('div', { class: 'scroll' });
  private chart: Chart<'line', CurvePoint[]> | undefined;
  private series: readonly CurveSeries[] = [];
  private text: CurveText | undefined;

  constructor(private readonly options: CurveOptions) {
    this.canvas = element('canvas', { role: 'img', 'data-testid': options.id, 'aria-label': options.label });
    this.alternative = element('details', { class: 'alternative', 'data-testid': `${options.id}-table` }, [
      element('summary', { text: 'Show as table' }),
      this.table,
    ]);
    this.alternative.addEventListener('toggle', () => this.fillTable());
    this.root = element('div', { class: 'curve' }, [
      element('div', { class: 'chart' }, [this.canvas]),
      this.legend,
      this.left,
      this.alternative,
    ]);
  }

  /** Shows the given curves and their text alternative. */
  show(series: readonly CurveSeries[], text: CurveText): void {
    this.series = series;
    this.text = text;
    setSpoken(this.canvas, `${this.options.label}. ${text.summary}`);
    const lost = this.options.logarithmic === true ? series.flatMap(({ points }) => points.filter(({ y }) => y <= 0)).length : 0;
    setText(
      this.left,
      lost === 0 ? '' : `${lost} ${lost === 1 ? 'point' : 'points'} at or below zero ${lost === 1 ? 'is' : 'are'} shown in the table only.`,
    );
    this.left.hidden = lost === 0;
    this.fillTable();
    this.draw();
  }

  /** Redraws with the colours of the current theme. A chart that is not visible is drawn once it is. */
  draw(): void {
    const theme = readTheme();
    this.drawLegend(theme);
    if (!this.canvas.isConnected || this.root.clientWidth === 0 || !this.canvas.getContext('2d')) return;
    this.chart ??= new Chart<'line', CurvePoint[]>(this.canvas, { type: 'line', data: { datasets: [] }, plugins: [dropLine] });
    this.chart.data = { datasets: this.series.map((one) => this.dataset(one, theme)) };
    this.chart.options = this.chartOptions(theme);
    this.chart.update('none');
  }

  private drawLegend(theme: ThemeColours): void {
    this.legend.replaceChildren(
      ...this.series
        .filter(({ points }) => points.length > 0)
        .map(({ label, colour, style }) => {
          const mark = element('span', { class: `mark ${style}` });
          mark.style.color = colour(theme);
          return element('li', {}, [mark, label]);
        }),
    );
  }

  private dataset({ label, points, colour, style }: CurveSeries, theme: ThemeColours): ChartDataset<'line', CurvePoint[]> {
    const own = colour(theme);
    return {
      label,
      data: this.options.logarithmic === true ? points.filter(({ y }) => y > 0) : [...points],
      parsing: false,
      // Markers at the ends of the axes are not cut off.
      clip: 10,
      showLine: style === 'line',
      borderColor: own,
      backgroundColor: style === 'here' ? own : theme.background,
      borderWidth: 2,
      pointRadius: style === 'line' ? 0 : style === 'here' ? 6 : 4,
      pointHoverRadius: 5,
      pointBorderWidth: 2,
      pointStyle: style === 'marks' ? 'rectRot' : 'circle',
      // Markers are drawn over lines, and the current point over everything.
      order: style === 'line' ? 2 : style === 'marks' ? 1 : 0,
    };
  }

  private chartOptions(theme: ThemeColours): NonNullable<Chart<'line', CurvePoint[]>['options']> {
    const { options } = this;
    const text = axisText(theme);
    const title = (shown: string) => ({ display: shown !== '', text: shown, ...text });
    const formatX = options.formatX ?? ((value: number) => formatNumber(value, 4));
    const formatY = options.formatY ?? ((value: number) => formatNumber(value, 3));
    return {
      animation: false,
      maintainAspectRatio: false,
      layout: { padding: { right: 10 } },
      events: ['mousemove', 'mouseout'],
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      plugins: {
        tooltip: {
          callbacks: {
            title: (items) => `${options.x}: ${formatX(items[0]?.parsed.x ?? 0)}`,
            label: (item) => `${item.dataset.label ?? ''}: ${formatY(item.parsed.y ?? 0)}`,
          },
        },
      },
      scales: {
        x: {
          type: 'linear',
          bounds: 'data',
          ...this.ends(),
          title: title(options.x),
          grid: { display: false },
          border: { color: theme.line },
          ticks: { ...text, maxTicksLimit: 8, maxRotation: 0, callback: (value) => formatX(Number(value)) },
        },
        y: {
          type: options.logarithmic === true ? 'logarithmic' : 'linear',
          title: title(options.y),
          grid: { color: theme.line, drawTicks: false },
          border: { display: false },
          ticks: {
            ...text,
            maxTicksLimit: 5,
            padding: 6,
            callback: (value) => (options.formatY ? formatY(Number(value)) : tickText(Number(value))),
          },
        },
      },
    };
  }

  private ends(): { readonly min?: number; readonly max?: number } {
    const places = this.series.flatMap(({ points }) => points.map(({ x }) => x));
    if (places.length === 0 || !this.options.range) return {};
    const [min, max] = this.options.range(Math.min(...places), Math.max(...places));
    return max > min ? { min, max } : {};
  }

  private fillTable(): void {
    if (!this.alternative.open || !this.text) return;
    const { columns, rows } = this.text;
    this.table.replaceChildren(
      element('table', { class: 'plain' }, [
        element('thead', {}, [
          element(
            'tr',
            {},
            columns.map((column, index) => element('th', { scope: 'col', class: index === 0 ? undefined : 'right', text: column })),
          ),
        ]),
        element(
          'tbody',
          {},
          rows.map((row) =>
            element(
              'tr',
              {},
              row.map((cell, index) =>
                element(index === 0 ? 'th' : 'td', { class: index === 0 ? 'numbers' : 'right numbers', text: cell }),
              ),
            ),
          ),
        ),
      ]),
    );
  }
}

/** A tick label: short, with powers of ten in exponent form. */
function tickText(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(0).replace('e-', 'e−') : formatNumber(value, 3);
}

/** Draws a dashed line from the large point down to the axis. */
const dropLine: Plugin<'line'> = {
  id: 'dropLine',
  beforeDatasetsDraw: (chart) => {
    const { ctx, chartArea, scales } = chart;
    for (const dataset of chart.data.datasets) {
      if (dataset.pointRadius !== 6) continue;
      for (const point of dataset.data as unknown as CurvePoint[]) {
        const x = scales['x']?.getPixelForValue(point.x);
        if (x === undefined || x < chartArea.left || x > chartArea.right) continue;
        ctx.save();
        ctx.strokeStyle = String(dataset.borderColor);
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(x, chartArea.top);
        ctx.lineTo(x, chartArea.bottom);
        ctx.stroke();
        ctx.restore();
      }
    }
  },
};
