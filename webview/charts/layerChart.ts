import type { ChartData, ChartDataset } from 'chart.js';
import { Chart } from 'chart.js';
import { printable } from '../../src/common/shown';
import { formatNumber } from '../../src/common/units';
import type { AllocatedLayer } from '../../src/protocol/panels/bitAllocation';
import { element, setSpoken } from '../components/dom';
import { widthWords } from '../components/widthBar';
import type { ThemeColours } from '../host/theme';
import { readTheme } from '../host/theme';
import { axisText } from './axisText';
import type { LayerBin } from './layerBins';
import { binMean, binParts, layerBins, occurringWidths } from './layerBins';
import { widthColour } from './widthColours';

/** What one bar chart over layers shows. */
export interface LayerMeasure {
  readonly id: string;
  readonly label: string;
  readonly value: (layer: AllocatedLayer) => number;
  /** Bars in one colour, or split into the widths within each layer. */
  readonly colour: ((theme: ThemeColours) => string) | 'widths';
  readonly ticks?: number;
  /** The user clicked the bar of this layer. */
  readonly onPick?: (layer: string) => void;
}

/** Number of bars beyond which they are too narrow to tell apart; the tooltip still names each. */
const labelledLayers = 40;

/** Width reserved for the labels of the vertical axis, in pixels. */
const labelRoom = 48;

type Mixed = Chart<'bar' | 'line', (number | null)[], string>;

/** A bar chart over layers. Created once and updated, so that it does not flicker while a job fills it. */
export class LayerChart {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private chart: Mixed | undefined;
  private bins: readonly LayerBin[] = [];
  private other: ReadonlyMap<string, AllocatedLayer> | undefined;

  constructor(private readonly measure: LayerMeasure) {
    this.canvas = element('canvas', { role: 'img', 'data-testid': measure.id, 'aria-label': measure.label });
    this.root = element('div', { class: 'chart' }, [this.canvas]);
  }

  /** Shows layers in order, and those of another result (matched by name) as markers over the bars. */
  show(layers: readonly AllocatedLayer[], other?: ReadonlyMap<string, AllocatedLayer>): void {
    this.bins = layerBins(layers);
    this.other = other;
    const { measure } = this;
    let [low, high] = [Infinity, -Infinity];
    for (const layer of layers) {
      const value = measure.value(layer);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    setSpoken(
      this.canvas,
      layers.length === 0
        ? `${measure.label}: no layers yet`
        : `${measure.label} of ${layers.length} layers, from ${formatNumber(low)} to ${formatNumber(high)}. The list of layers has the same numbers.`,
    );
    this.draw();
  }

  /** Redraws with the colours of the current theme. A chart that is not visible is drawn once it is. */
  draw(): void {
    if (!this.canvas.isConnected || this.root.clientWidth === 0 || !this.canvas.getContext('2d')) return;
    const theme = readTheme();
    this.chart ??= new Chart<'bar' | 'line', (number | null)[], string>(this.canvas, { type: 'bar', data: { labels: [], datasets: [] } });
    this.chart.data = this.data(theme);
    this.chart.options = this.options(theme);
    this.chart.update('none');
  }

  private data(theme: ThemeColours): ChartData<'bar' | 'line', (number | null)[], string> {
    const { measure, bins, other } = this;
    const style = {
      type: 'bar' as const,
      borderColor: theme.highContrast ? theme.foreground : theme.background,
      borderWidth: theme.highContrast ? 1 : 0,
      categoryPercentage: 1,
      barPercentage: bins.length > 120 ? 1 : 0.85,
      maxBarThickness: 36,
      stack: 'own',
    };
    const widths = measure.colour === 'widths' ? occurringWidths(bins.flatMap(({ layers }) => layers)) : [];
    const parts = bins.map((bin) => binParts(bin, widths));
    const { colour } = measure;
    const bars: ChartDataset<'bar', (number | null)[]>[] =
      colour === 'widths'
        ? widths.map((width, index) => ({
            ...style,
            label: widthWords(width),
            data: parts.map((part) => part[index] ?? 0),
            backgroundColor: widthColour(width, theme),
          }))
        : [
            {
              ...style,
              label: measure.label,
              data: bins.map((bin) => binMean(bin, measure.value)),
              backgroundColor: colour(theme),
              minBarLength: 1,
            },
          ];
    const marks: ChartDataset<'line', (number | null)[]>[] = other
      ? [
          {
            type: 'line',
            label: 'other result',
            data: bins.map(({ layers }) => {
              const found = layers.flatMap(({ name }) => other.get(name) ?? []);
              return found.length === 0 ? null : binMean({ first: 0, layers: found }, measure.value);
            }),
            showLine: false,
            pointStyle: 'line',
            pointRadius: Math.min(12, 200 / Math.max(1, bins.length) + 2),
            pointBorderWidth: 2,
            pointBorderColor: theme.foreground,
          },
        ]
      : [];
    // Markers come first: the first dataset is drawn on top.
    return { labels: bins.map(({ layers }) => binName(layers)), datasets: [...marks, ...bars] };
  }

  private options(theme: ThemeColours): Mixed['options'] {
    const { measure, bins } = this;
    const text = axisText(theme);
    return {
      animation: false,
      maintainAspectRatio: false,
      events: ['mousemove', 'mouseout', 'click'],
      interaction: { mode: 'index', intersect: false },
      onClick: (_event, hits) => {
        const layer = bins[hits[0]?.index ?? -1]?.layers[0];
        if (layer) measure.onPick?.(layer.name);
      },
      plugins: {
        tooltip: {
          filter: (item) => (item.parsed.y ?? 0) > 0,
          callbacks: {
            label: (item) => {
              const bin = bins[item.dataIndex];
              if (!bin || item.dataset.type === 'line' || measure.colour !== 'widths')
                return `${item.dataset.label ?? ''}: ${formatNumber(item.parsed.y ?? 0)}`;
              const mean = binMean(bin, measure.value);
              return `${item.dataset.label ?? ''}: ${formatNumber((100 * (item.parsed.y ?? 0)) / Math.max(mean, 1e-12), 3)} % of the weights`;
            },
            footer: (items) => {
              const bin = bins[items[0]?.dataIndex ?? -1];
              return bin && measure.colour === 'widths' ? `Mean: ${formatNumber(binMean(bin, measure.value), 3)} bits` : '';
            },
          },
        },
      },
      scales: {
        x: {
          stacked: true,
          grid: { display: false },
          border: { color: theme.line },
          ticks: {
            ...text,
            display: bins.length <= labelledLayers,
            maxRotation: 50,
            callback: (_value, index) => printable(shortName(bins[index]?.layers[0]?.name ?? '')),
          },
        },
        y: {
          stacked: true,
          // Reserve the same width for labels in every chart, so that the bars of a layer line up.
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
  }
}

function binName(layers: readonly AllocatedLayer[]): string {
  const first = printable(layers[0]?.name ?? '');
  return layers.length === 1 ? first : `${first} and ${layers.length - 1} after it`;
}

/** `model.layers.3.self_attn.q_proj.weight` becomes `3 q_proj`: the block's number and the layer's own name. */
export function shortName(name: string): string {
  const parts = name.split('.').filter((part) => part !== 'weight');
  const block = parts.find((part) => /^\d+$/.test(part));
  const own = parts.at(-1) ?? name;
  return block === undefined ? own : `${block} ${own}`;
}
