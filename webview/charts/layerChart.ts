import type { ChartDataset } from 'chart.js';
import { BarController, BarElement, CategoryScale, Chart, LinearScale, LogarithmicScale, Tooltip } from 'chart.js';
import { formatNumber } from '../../src/common/units';
import type { AllocatedLayer } from '../../src/protocol/panels/bitAllocation';
import { element } from '../components/dom';
import type { ThemeColours } from '../host/theme';
import { readTheme } from '../host/theme';

/** Registers the few pieces of the chart library that bars need. */
export function registerCharts(): void {
  Chart.register(BarController, BarElement, CategoryScale, LinearScale, LogarithmicScale, Tooltip);
}

/** What one bar chart over layers shows. */
export interface LayerMeasure {
  readonly id: string;
  readonly label: string;
  readonly value: (layer: AllocatedLayer) => number;
  readonly colour: (theme: ThemeColours) => string;
  readonly ticks?: number;
}

/** Where bars become too narrow to tell apart in sight; the tooltip still names each. */
const labelledLayers = 40;

/** Room for the labels of the vertical axis, in pixels. */
const labelRoom = 48;

/** Bars over layers. Made once and updated, so that a chart that fills while a job runs does not flicker. */
export class LayerChart {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private chart: Chart<'bar', number[], string> | undefined;
  private layers: readonly AllocatedLayer[] = [];

  constructor(private readonly measure: LayerMeasure) {
    this.canvas = element('canvas', { role: 'img', 'data-testid': measure.id, 'aria-label': measure.label });
    this.root = element('div', { class: 'chart' }, [this.canvas]);
  }

  /** Shows layers in their order. */
  show(layers: readonly AllocatedLayer[]): void {
    this.layers = layers;
    const { measure } = this;
    const values = layers.map(measure.value);
    const low = Math.min(...values);
    const high = Math.max(...values);
    this.canvas.setAttribute(
      'aria-label',
      layers.length === 0
        ? `${measure.label}: no layers yet`
        : `${measure.label} of ${layers.length} layers, from ${formatNumber(low)} to ${formatNumber(high)}. The same numbers are in the table.`,
    );
    this.draw();
  }

  /** Draws with the colours of the theme in force. */
  draw(): void {
    if (!this.canvas.isConnected || !this.canvas.getContext('2d')) return;
    const theme = readTheme();
    const { measure, layers } = this;
    const dataset: ChartDataset<'bar', number[]> = {
      data: layers.map(measure.value),
      backgroundColor: measure.colour(theme),
      borderColor: theme.foreground,
      borderWidth: theme.highContrast ? 1 : 0,
      categoryPercentage: 1,
      barPercentage: layers.length > 120 ? 1 : 0.85,
      maxBarThickness: 36,
      minBarLength: 1,
    };
    const text = { color: theme.muted, font: { family: getComputedStyle(document.body).fontFamily, size: 11 } };
    this.chart ??= new Chart(this.canvas, { type: 'bar', data: { labels: [], datasets: [] } });
    this.chart.data = { labels: layers.map(({ name }) => name), datasets: [dataset] };
    this.chart.options = {
      animation: false,
      maintainAspectRatio: false,
      events: ['mousemove', 'mouseout'],
      plugins: {
        tooltip: {
          displayColors: false,
          callbacks: {
            label: (item) => `${measure.label}: ${formatNumber(item.parsed.y ?? 0)}`,
          },
        },
      },
      scales: {
        x: {
          grid: { display: false },
          border: { color: theme.line },
          ticks: {
            ...text,
            display: layers.length <= labelledLayers,
            maxRotation: 50,
            callback: (_value, index) => shortName(layers[index]?.name ?? ''),
          },
        },
        y: {
          // The same room for labels in every chart, so that bars of one layer stand above each other.
          afterFit: (scale) => {
            scale.width = labelRoom;
          },
          beginAtZero: true,
          grid: { color: theme.line, drawTicks: false },
          border: { display: false },
          ticks: { ...text, maxTicksLimit: measure.ticks ?? 5, padding: 6 },
        },
      },
    };
    this.chart.update('none');
  }
}

/** `model.layers.3.self_attn.q_proj.weight` becomes `3 q_proj`: the block's number and the layer's own name. */
export function shortName(name: string): string {
  const parts = name.split('.').filter((part) => part !== 'weight');
  const block = parts.find((part) => /^\d+$/.test(part));
  const own = parts.at(-1) ?? name;
  return block === undefined ? own : `${block} ${own}`;
}
