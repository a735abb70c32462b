import { formatBytes, formatCount, formatNumber } from '../../../src/common/units';
import { modelFormatNames } from '../../../src/protocol/model';
import type { TensorSummary } from '../../../src/protocol/model';
import type { ModelPageEvents, ModelPageRequests, ModelPageView } from '../../../src/protocol/panels/modelPage';
import { tensorsPerPiece } from '../../../src/protocol/panels/modelPage';
import { debounce, element, setText } from '../../components/dom';
import type { TensorOrder } from '../../components/tensorOrder';
import { filterAndSort, nextOrder, shapeText } from '../../components/tensorOrder';
import { button, tabs, textField } from '../../components/controls';
import { VirtualTable } from '../../components/virtualTable';
import type { Page } from '../../host/page';
import { markRendered } from '../../host/page';
import { onThemeChange } from '../../host/theme';
import { Inspector } from './inspector';
import { diagnosticsSheet, failureSheet, graphSheet, metadataSheet } from './sheets';

/** The page's saved state while hidden. */
export interface ModelPageState {
  readonly filter: string;
  readonly order: TensorOrder;
  readonly selected?: string;
  readonly tab: string;
  /** Names the model to the host, so that the editor can restore it after a restart. */
  readonly key?: string;
}

/** The page of one model: header, tensor table with inspector, metadata, graph and diagnostics. */
export class ModelPage {
  private readonly root = element('main', { class: 'model-page' });
  private readonly inspector: Inspector;
  private readonly table: VirtualTable<TensorSummary>;
  private readonly count = element('span', { class: 'muted numbers', 'data-testid': 'row-count', 'aria-live': 'polite' });
  private readonly filterField: HTMLElement & { value: string };
  private view: ModelPageView | undefined;
  private tensors: readonly TensorSummary[] = [];
  private state: ModelPageState;

  constructor(private readonly page: Page<ModelPageRequests, ModelPageEvents, ModelPageState>) {
    this.state = page.loadState() ?? { filter: '', order: { column: 'file', descending: false }, tab: 'tensors' };
    this.inspector = new Inspector({
      statistics: (tensor) => page.request('statistics', { tensor }),
      picture: (tensor, region, width, height) => page.request('picture', { tensor, ...(region && { region }), width, height }),
      copy: (text) => void page.request('copy', { text }),
      manageTrust: () => void page.request('manageTrust'),
    });
    this.table = new VirtualTable<TensorSummary>({
      label: 'Tensors',
      id: 'tensor-table',
      keyOf: (tensor) => tensor.name,
      columns: [
        { id: 'name', title: 'Name', align: 'left', track: 'minmax(0, 1fr)', text: (tensor) => tensor.name, keepEnd: true },
        { id: 'shape', title: 'Shape', align: 'right', track: '96px', text: (tensor) => shapeText(tensor.shape), hideBelow: 220 },
        { id: 'dtype', title: 'Type', align: 'left', track: '64px', text: (tensor) => tensor.dtype, hideBelow: 430 },
        { id: 'bytes', title: 'Size', align: 'right', track: '66px', text: (tensor) => formatBytes(tensor.bytes), hideBelow: 560 },
      ],
      onSelect: (tensor) => this.select(tensor),
      onSort: (column) => this.update({ order: nextOrder(this.state.order, column as TensorOrder['column']) }),
    });
    const refilter = debounce(60, () => this.showRows());
    this.filterField = textField({
      id: 'filter',
      label: 'Filter tensors',
      placeholder: 'Filter by name, type or shape',
      onInput: (text) => {
        this.keep({ filter: text });
        refilter();
      },
    });
    this.filterField.value = this.state.filter;
    document.body.append(this.root);
    page.on('changed', (view) => void this.show(view));
    page.on('select', ({ tensor }) => this.reveal(tensor));
    onThemeChange(() => this.inspector.redraw());
  }

  /** Requests the first view and draws it. */
  async start(): Promise<void> {
    const { view, select } = await this.page.request('ready');
    if (select !== undefined) this.keep({ selected: select, tab: 'tensors' });
    await this.show(view);
  }

  private async show(view: ModelPageView): Promise<void> {
    const stale = this.view === undefined || this.view.version !== view.version;
    this.view = view;
    this.keep({ key: view.key });
    if (stale) this.tensors = view.tensors;
    this.layOut(view);
    this.showRows();
    const selected = this.tensors.find((tensor) => tensor.name === this.state.selected);
    if (!selected) this.inspector.showNothing();
    else if (stale) this.select(selected);
    markRendered();
    if (stale) await this.fetchRest(view);
  }

  /** Fetches the remaining rows in chunks, so that the first rows appear immediately. */
  private async fetchRest(view: ModelPageView): Promise<void> {
    const all = [...view.tensors];
    while (all.length < view.tensorCount) {
      const piece = await this.page.request('tensors', { offset: all.length, count: tensorsPerPiece });
      if (this.view?.version !== view.version || piece.length === 0) return;
      all.push(...piece);
      this.tensors = all;
      this.showRows();
    }
    const { selected } = this.state;
    if (selected !== undefined && !view.tensors.some((tensor) => tensor.name === selected)) this.reveal(selected);
  }

  private layOut(view: ModelPageView): void {
    const tensorSheet = element('div', { class: 'split' }, [
      element('div', { class: 'list' }, [element('div', { class: 'list-bar' }, [this.filterField, this.count]), this.table.root]),
      this.inspector.root,
    ]);
    const sheets = [
      { id: 'tensors', label: `Tensors  ${formatCount(view.tensorCount)}`, content: tensorSheet },
      { id: 'metadata', label: 'Metadata', content: metadataSheet(view) },
      ...(view.graph ? [{ id: 'graph', label: 'Graph', content: graphSheet(view.graph) }] : []),
      { id: 'diagnostics', label: `Diagnostics  ${formatCount(view.diagnostics.length)}`, content: diagnosticsSheet(view.diagnostics) },
    ];
    const active = sheets.some((sheet) => sheet.id === this.state.tab) ? this.state.tab : 'tensors';
    const empty = view.state === 'failed' && view.tensorCount === 0;
    this.root.replaceChildren(
      this.header(view),
      ...noticeOf(view),
      empty ? failureSheet(view) : tabs({ label: 'Model', sheets, active, onChange: (tab) => this.keep({ tab }) }),
    );
  }

  private header(view: ModelPageView): HTMLElement {
    const facts = [
      view.architecture === 'unknown' ? '' : view.architecture,
      view.format === undefined ? '' : modelFormatNames[view.format],
      ...(view.tensorCount > 0 ? [`${formatCount(view.parameters)} parameters`, formatBytes(view.bytes), view.dtypes.join(', ')] : []),
    ].filter((fact) => fact !== '');
    return element('header', { class: 'page-head' }, [
      element('div', {}, [
        element('div', { class: 'title-line' }, [
          element('h1', { text: view.name, 'data-testid': 'title' }),
          ...(view.compressed
            ? [
                element('span', {
                  class: 'badge',
                  text: `${view.compressed.method} · ${formatNumber(view.compressed.bitsPerWeight, 3)} bits per weight`,
                }),
              ]
            : []),
        ]),
        element(
          'ul',
          { class: 'subtitle numbers' },
          facts.map((fact) => element('li', { text: fact })),
        ),
      ]),
      ...(view.state === 'ready' && view.tensorCount > 0 && !view.compressed
        ? [button({ id: 'compress', label: 'Compress…', onClick: () => void this.page.request('compress') })]
        : []),
    ]);
  }

  private showRows(): void {
    const { filter, order, selected } = this.state;
    const rows = filterAndSort(this.tensors, filter, order);
    this.table.setRows(rows, selected);
    this.table.setSort(order.column, order.descending ? 'descending' : 'ascending');
    const total = this.view?.tensorCount ?? 0;
    const loading = this.tensors.length < total ? ', loading more…' : '';
    setText(
      this.count,
      rows.length === this.tensors.length && loading === ''
        ? `${formatCount(total)} ${total === 1 ? 'tensor' : 'tensors'}`
        : `${formatCount(rows.length)} of ${formatCount(total)}${loading}`,
    );
  }

  private reveal(tensor: string): void {
    this.keep({ selected: tensor });
    if (this.table.select(tensor)) return;
    // The filter hides the tensor: a request by name takes precedence.
    this.filterField.value = '';
    this.update({ filter: '' });
    this.table.select(tensor);
  }

  private select(tensor: TensorSummary): void {
    this.keep({ selected: tensor.name });
    void this.inspector.show(tensor, this.view?.valuesRefused).then(markRendered);
  }

  private keep(change: Partial<ModelPageState>): void {
    this.state = { ...this.state, ...change };
    this.page.saveState(this.state);
  }

  private update(change: Partial<ModelPageState>): void {
    this.keep(change);
    this.showRows();
  }
}

function noticeOf(view: ModelPageView): readonly HTMLElement[] {
  if (view.notice === undefined) return [];
  const kind = view.state === 'failed' ? 'notice problem' : 'notice';
  return [
    element('div', { class: kind, role: 'status', 'data-testid': 'notice' }, [
      element('strong', { text: view.notice }),
      ...(view.advice === undefined ? [] : [element('span', { text: view.advice })]),
    ]),
  ];
}
