import { histogramText } from '../../../src/common/bitHistogram';
import { formatBytes, formatNumber } from '../../../src/common/units';
import { occurringWidths, widthsOf } from '../../charts/layerBins';
import { element, setText } from '../../components/dom';
import type { VirtualColumn } from '../../components/virtualTable';
import { VirtualTable } from '../../components/virtualTable';
import { widthBar, widthLegend, widthWords } from '../../components/widthBar';
import type { ThemeColours } from '../../host/theme';
import { readTheme } from '../../host/theme';
import { commonEnds } from './commonEnds';
import type { LayerRow } from './layerRows';
import { difference } from './layerRows';

/** Actions of the list of layers. */
export interface LayerListOptions {
  /** Pins the width of a layer, or removes the pin. Absent if nothing can be pinned. */
  readonly onPin: (layer: string, width: number | undefined) => void;
  /** Widths that a layer can have; empty if nothing can be pinned. */
  readonly widthsOf: (layer: string) => readonly number[];
}

type Order = { readonly column: string; readonly descending: boolean } | undefined;

/** Every layer with its bar, its numbers and its pin; only the visible rows are rendered. */
export class LayerList {
  readonly root: HTMLElement;
  private readonly legend = element('div');
  private readonly hint = element('p', { class: 'hint', 'data-testid': 'layer-hint' });
  private readonly table: VirtualTable<LayerRow>;
  private rows: readonly LayerRow[] = [];
  private widths: readonly number[] = [];
  private scale = 8;
  private common = { start: 0, end: 0 };
  /** Read once for all rows: reading it costs more than drawing them. */
  private theme: ThemeColours = readTheme();
  private order: Order;
  private selected: string | undefined;
  private shape = '';

  constructor(private readonly options: LayerListOptions) {
    this.table = new VirtualTable<LayerRow>({
      label: 'Layers with their widths',
      id: 'layer-table',
      columns: this.columns(false, false),
      keyOf: ({ name }) => name,
      onSelect: ({ name }) => (this.selected = name),
      onSort: (column) => this.sortBy(column),
      onKey: (row, key) => this.onKey(row, key),
      rowHeight: 28,
    });
    this.root = element('div', { class: 'layer-list' }, [
      element('div', { class: 'list-head' }, [this.hint, this.legend]),
      this.table.root,
    ]);
  }

  /** Shows layers. `budget`: a budget can be moved, so there are losses and pins; `compared`: there is another result. */
  show(rows: readonly LayerRow[], shown: { readonly budget: boolean; readonly compared: boolean; readonly hint: string }): void {
    this.rows = rows;
    const widths = occurringWidths(rows.flatMap(({ layer, other }) => (other ? [layer, other] : [layer])));
    this.common = commonEnds(rows.map(({ name }) => name));
    this.scale = rows.some(({ layer, other }) => layer.bits > 8 || (other?.bits ?? 0) > 8) ? 16 : 8;
    const shape = `${shown.budget} ${shown.compared}`;
    if (shape !== this.shape) {
      this.shape = shape;
      this.table.setColumns(this.columns(shown.budget, shown.compared));
    }
    setText(this.hint, shown.hint);
    // Learned means are not whole widths: a legend with hundreds of entries would be useless.
    this.widths = widths.filter((width) => Number.isInteger(width));
    this.fill();
  }

  /** Scrolls a layer into view. */
  select(layer: string): void {
    this.table.select(layer);
  }

  /** Redraws the bars with the colours of the current theme. */
  draw(): void {
    this.fill();
  }

  private fill(): void {
    this.theme = readTheme();
    this.legend.replaceChildren(...(this.widths.length === 0 ? [] : [widthLegend(this.widths, this.theme)]));
    this.table.setRows(sorted(this.rows, this.order), this.selected);
  }

  private sortBy(column: string): void {
    if (this.order?.column !== column) this.order = { column, descending: column !== 'name' };
    else if (this.order.descending === (column !== 'name')) this.order = { column, descending: !this.order.descending };
    // The third click restores the order of the model.
    else this.order = undefined;
    this.table.setSort(column, this.order === undefined ? 'none' : this.order.descending ? 'descending' : 'ascending');
    this.fill();
  }

  private onKey(row: LayerRow, key: string): boolean {
    const widths = this.options.widthsOf(row.name);
    if (widths.length === 0) return false;
    if (key === 'Delete' || key === 'Backspace') this.options.onPin(row.name, undefined);
    else if (/^[0-8]$/.test(key) && widths.includes(Number(key))) this.options.onPin(row.name, Number(key));
    else if (key === 'Enter' || key === ' ')
      this.options.onPin(row.name, row.pin === undefined ? nearest(widths, row.layer.bits) : undefined);
    else return false;
    return true;
  }

  private columns(budget: boolean, compared: boolean): readonly VirtualColumn<LayerRow>[] {
    const number = (id: string, title: string, text: (row: LayerRow) => string, hideBelow?: number): VirtualColumn<LayerRow> => ({
      id,
      title,
      align: 'right',
      track: '4.6rem',
      text,
      ...(hideBelow !== undefined && { hideBelow }),
    });
    return [
      {
        id: 'name',
        title: 'Layer',
        align: 'left',
        track: 'minmax(8rem, 1.6fr)',
        text: ({ name }) => name,
        cell: ({ name }) => element('span', { text: this.shortened(name) }),
      },
      {
        id: 'widths',
        title: 'Widths',
        align: 'left',
        track: 'minmax(5rem, 2fr)',
        text: barText,
        cell: (row) => this.bars(row),
      },
      number('bits', 'Bits', ({ layer, foreign }) => (foreign ? '–' : formatNumber(layer.bits, 3))),
      ...(compared
        ? [
            number('other', 'Other', ({ other }) => (other ? formatNumber(other.bits, 3) : '–')),
            {
              ...number('difference', 'Difference', differenceText),
              cell: (row: LayerRow) => element('span', { class: difference(row) === 0 ? 'muted' : 'differs', text: differenceText(row) }),
            },
          ]
        : []),
      number('bytes', 'Size', ({ bytes, foreign }) => (foreign ? '–' : formatBytes(bytes)), 560),
      ...(budget
        ? [
            {
              ...number('loss', 'Loss', ({ loss }) => (loss === undefined ? '–' : formatNumber(loss, 3)), 680),
              longTitle: 'Predicted loss',
            },
          ]
        : []),
      {
        ...number('error', 'Error', ({ layer, foreign }) => (foreign ? '–' : formatNumber(layer.relativeError, 3)), 760),
        longTitle: 'Relative error of the weights, as compressed',
      },
      ...(budget
        ? [
            {
              id: 'pin',
              title: 'Pin',
              align: 'left' as const,
              track: '5.5rem',
              text: ({ pin }: LayerRow) => (pin === undefined ? 'not pinned' : `pinned at ${pin} bits`),
              cell: (row: LayerRow) => this.pinSelect(row),
            },
          ]
        : []),
    ];
  }

  /** A name without the parts that all names share at both ends. */
  private shortened(name: string): string {
    return name.slice(this.common.start, name.length - this.common.end);
  }

  private bars(row: LayerRow): HTMLElement {
    const { theme } = this;
    return element('span', { class: 'bars' }, [
      ...(row.foreign ? [] : [widthBar(widthsOf(row.layer), this.scale, theme)]),
      ...(row.other ? [widthBar(widthsOf(row.other), this.scale, theme, 'other')] : []),
    ]);
  }

  private pinSelect(row: LayerRow): HTMLElement {
    const widths = this.options.widthsOf(row.name);
    if (widths.length === 0) return element('span', { class: 'muted', text: '–' });
    const select = element('select', {
      'data-control': 'pin',
      'aria-label': `Pin ${row.name}`,
      class: row.pin === undefined ? '' : 'pinned',
    });
    const option = (value: string, text: string) => {
      const made = element('option', { value, text });
      made.selected = value === (row.pin === undefined ? '' : String(row.pin));
      return made;
    };
    select.append(option('', 'none'), ...widths.map((width) => option(String(width), widthWords(width))));
    select.addEventListener('change', () => this.options.onPin(row.name, select.value === '' ? undefined : Number(select.value)));
    return select;
  }
}

function barText({ layer, other, foreign }: LayerRow): string {
  const own = foreign ? 'not in this result' : histogramText(widthsOf(layer));
  return other ? `${own}; other result: ${histogramText(widthsOf(other))}` : own;
}

function differenceText(row: LayerRow): string {
  const bits = difference(row);
  if (bits === undefined) return row.foreign ? 'other result only' : 'this result only';
  const text = formatNumber(Math.abs(bits), 2);
  return Number(text) === 0 ? 'equal' : `${bits < 0 ? '−' : '+'}${text}`;
}

function nearest(widths: readonly number[], bits: number): number {
  return widths.reduce((best, width) => (Math.abs(width - bits) < Math.abs(best - bits) ? width : best));
}

function sorted(rows: readonly LayerRow[], order: Order): readonly LayerRow[] {
  if (!order) return rows;
  const values: Readonly<Record<string, (row: LayerRow) => number>> = {
    bits: ({ layer }) => layer.bits,
    widths: ({ layer }) => layer.bits,
    other: ({ other }) => other?.bits ?? -1,
    difference: (row) => Math.abs(difference(row) ?? Infinity),
    bytes: ({ bytes }) => bytes,
    loss: ({ loss }) => loss ?? -1,
    error: ({ layer }) => layer.relativeError,
    pin: ({ pin }) => pin ?? -1,
  };
  const sign = order.descending ? -1 : 1;
  const value = values[order.column];
  const collator = new Intl.Collator('en', { numeric: true });
  return [...rows].sort((a, b) => sign * (value ? value(a) - value(b) : collator.compare(a.name, b.name)) || 0);
}
