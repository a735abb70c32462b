import { formatBytes, formatCount, formatNumber } from '../../../src/common/units';
import type { BitAllocationEvents, BitAllocationRequests, BitAllocationView } from '../../../src/protocol/panels/bitAllocation';
import { LayerChart } from '../../charts/layerChart';
import { element } from '../../components/dom';
import { sortableTable } from '../../components/sortableTable';
import { button, tabs } from '../../components/controls';
import type { Page } from '../../host/page';
import { markRendered } from '../../host/page';
import { onThemeChange } from '../../host/theme';

/** What the page keeps for itself; `job` lets the host find the job again after a reload of the window. */
export interface BitAllocationState {
  readonly tab: string;
  readonly job?: string;
}

/** How sizes, bits and errors spread over the layers of a compressed model. */
export class BitAllocationPage {
  private readonly head = element('header', { class: 'page-head' });
  private readonly progress = element('div');
  private readonly figures = element('div', { class: 'figures' });
  private readonly sizes = element('section', { class: 'sizes', 'aria-label': 'Size before and after' });
  private readonly bits = new LayerChart({
    id: 'bits-chart',
    label: 'Bits per weight code',
    value: (layer) => layer.bits,
    colour: (theme) => theme.accent,
  });
  private readonly errors = new LayerChart({
    id: 'error-chart',
    label: 'Relative error',
    value: (layer) => layer.relativeError,
    colour: (theme) => theme.second,
  });
  private readonly table = element('div', { class: 'table-wrap' });
  private readonly notes = element('section', { class: 'notes', 'data-testid': 'notes' });
  private state: BitAllocationState;

  constructor(private readonly page: Page<BitAllocationRequests, BitAllocationEvents, BitAllocationState>) {
    this.state = page.loadState() ?? { tab: 'charts' };
    const charts = element('div', { class: 'stack' }, [
      element('section', { class: 'chart-block' }, [element('h2', { text: 'Bits per layer' }), this.bits.root]),
      element('section', { class: 'chart-block' }, [
        element('h2', { text: 'Error per layer' }),
        element('p', { class: 'hint', text: 'Norm of the change of the weights, divided by the norm of the weights.' }),
        this.errors.root,
      ]),
    ]);
    document.body.append(
      element('main', {}, [
        this.head,
        this.progress,
        this.figures,
        element('div', { class: 'body' }, [
          this.sizes,
          tabs({
            label: 'Layers',
            sheets: [
              { id: 'charts', label: 'Charts', content: charts },
              { id: 'table', label: 'Table', content: this.table },
            ],
            active: this.state.tab,
            onChange: (tab) => this.keep({ tab }),
          }),
          this.notes,
        ]),
      ]),
    );
    page.on('changed', (view) => this.show(view));
    onThemeChange(() => this.redraw());
  }

  /** Asks for the first snapshot and draws it. */
  async start(): Promise<void> {
    this.show(await this.page.request('ready'));
  }

  private show(view: BitAllocationView): void {
    if (this.state.job !== view.job) this.keep({ job: view.job });
    this.drawHead(view);
    this.drawFigures(view);
    this.drawSizes(view);
    this.bits.show(view.layers);
    this.errors.show(view.layers);
    this.table.replaceChildren(layerTable(view));
    this.notes.replaceChildren(
      ...(view.notes.length === 0
        ? []
        : [
            element('h2', { text: 'What to know' }),
            element(
              'ul',
              {},
              view.notes.map((note) => element('li', { text: note })),
            ),
          ]),
    );
    markRendered();
  }

  private drawHead(view: BitAllocationView): void {
    const words = { running: 'Running', done: 'Done', failed: 'Failed' } as const;
    const badge = { running: 'badge', done: 'badge passed', failed: 'badge failed' } as const;
    this.head.replaceChildren(
      element('div', {}, [
        element('div', { class: 'title-line' }, [
          element('h1', { text: view.title, 'data-testid': 'title' }),
          element('span', { class: badge[view.status], text: words[view.status], 'data-testid': 'status', role: 'status' }),
        ]),
        element('ul', { class: 'subtitle' }, [
          element('li', { text: view.method }),
          ...(view.statusText === undefined ? [] : [element('li', { class: 'numbers', text: view.statusText })]),
        ]),
      ]),
      ...(view.status === 'done'
        ? [
            element('div', { class: 'tools' }, [
              button({ id: 'open-report', label: 'Open Report', onClick: () => void this.page.request('openReport') }),
              button({
                id: 'reveal-output',
                label: 'Reveal Output',
                quiet: true,
                onClick: () => void this.page.request('revealOutput'),
              }),
            ]),
          ]
        : []),
    );
    const fill = element('div');
    fill.style.width = `${Math.round(100 * (view.fraction ?? 0))}%`;
    this.progress.className = view.status === 'running' ? 'progress' : '';
    this.progress.replaceChildren(...(view.status === 'running' ? [fill] : []));
  }

  private drawFigures(view: BitAllocationView): void {
    const worst = view.layers.reduce((largest, layer) => Math.max(largest, layer.relativeError), 0);
    const ratio = view.bytesAfter > 0 && view.bytesBefore > 0 ? view.bytesBefore / view.bytesAfter : undefined;
    const figure = (id: string, label: string, value: string) =>
      element('div', { class: 'figure' }, [
        element('div', { class: 'label', text: label }),
        element('div', { class: 'value', text: value, 'data-testid': id }),
      ]);
    this.figures.replaceChildren(
      figure('bits-per-weight', 'Bits per weight', view.bitsPerWeight > 0 ? formatNumber(view.bitsPerWeight, 3) : '–'),
      figure('ratio', 'Smaller by', ratio === undefined ? '–' : `${formatNumber(ratio, 3)} ×`),
      figure('layer-count', 'Layers', formatCount(view.layers.length)),
      figure('largest-error', 'Largest error', view.layers.length === 0 ? '–' : formatNumber(worst, 3)),
    );
  }

  private drawSizes(view: BitAllocationView): void {
    const largest = Math.max(view.bytesBefore, view.bytesAfter, 1);
    const row = (id: string, label: string, bytes: number, kind: string) => {
      const fill = element('div', { class: `fill ${kind}` });
      fill.style.width = `${(100 * bytes) / largest}%`;
      return [
        element('span', { class: 'muted', text: label }),
        element('div', { class: 'track', 'aria-hidden': 'true' }, [fill]),
        element('span', { class: 'numbers right', text: bytes > 0 ? formatBytes(bytes) : '–', 'data-testid': id }),
      ];
    };
    this.sizes.replaceChildren(
      ...row('size-before', 'Before', view.bytesBefore, 'before'),
      ...row('size-after', 'After', view.bytesAfter, 'after'),
    );
  }

  private redraw(): void {
    this.bits.draw();
    this.errors.draw();
  }

  private keep(change: Partial<BitAllocationState>): void {
    this.state = { ...this.state, ...change };
    this.page.saveState(this.state);
    // A chart in a hidden sheet has no size: it is drawn when its sheet shows.
    this.redraw();
  }
}

function layerTable(view: BitAllocationView): HTMLElement {
  return sortableTable(
    [
      { title: 'Layer', align: 'left' },
      { title: 'Weights', align: 'right' },
      { title: 'Bits', align: 'right' },
      { title: 'Relative error', align: 'right' },
      { title: 'Before', align: 'right' },
      { title: 'After', align: 'right' },
    ],
    view.layers.map((layer) => [
      { text: layer.name },
      { text: formatCount(layer.weights), order: layer.weights },
      { text: formatNumber(layer.bits, 3), order: layer.bits },
      { text: formatNumber(layer.relativeError, 3), order: layer.relativeError },
      { text: formatBytes(layer.bytesBefore), order: layer.bytesBefore },
      { text: formatBytes(layer.bytesAfter), order: layer.bytesAfter },
    ]),
    'layer-table',
  );
}
