import { element } from './dom';

/** A column of a virtual table. */
export interface VirtualColumn<Row> {
  readonly id: string;
  readonly title: string;
  /** The full title, if the column only has room for a short one. */
  readonly longTitle?: string;
  readonly align: 'left' | 'right';
  /** CSS grid track, for example `minmax(12rem, 1fr)`. */
  readonly track: string;
  readonly text: (row: Row) => string;
  /** Rendered in place of the text, which still labels the cell for screen readers. Controls in it carry `data-control`, so that they keep focus. */
  readonly cell?: (row: Row) => Node;
  /** Truncates text at its start rather than its end: tensor names differ at their ends. */
  readonly keepEnd?: boolean;
  /** The column is hidden if the table is narrower than this, in pixels. */
  readonly hideBelow?: number;
}

/** Default row height in pixels. All rows have the same height, so that a position is a multiplication. */
const usualRowHeight = 24;
/** Extra rows rendered above and below the visible ones. */
const margin = 8;

/**
 * A table that renders only the visible rows, so that 100,000 of them cost no more than forty.
 * Keyboard: arrows, page up and down, home, end; Enter chooses. Clicking a header requests another order.
 * Screen readers see a grid with the full number of rows.
 */
export class VirtualTable<Row> {
  readonly root: HTMLElement;
  private readonly head: HTMLElement;
  private readonly viewport: HTMLElement;
  private readonly canvas: HTMLElement;
  private rows: readonly Row[] = [];
  private current = -1;
  private drawnWindow = '';
  private columns: readonly VirtualColumn<Row>[];
  private shown: readonly VirtualColumn<Row>[];
  private readonly rowHeight: number;

  constructor(
    private readonly options: {
      readonly label: string;
      readonly id: string;
      readonly columns: readonly VirtualColumn<Row>[];
      readonly keyOf: (row: Row) => string;
      readonly onSelect: (row: Row) => void;
      readonly onSort: (column: string) => void;
      /** Receives keys that the table does not handle, with the current row. Returns true if it handled the key. */
      readonly onKey?: (row: Row, key: string) => boolean;
      readonly rowHeight?: number;
    },
  ) {
    this.columns = options.columns;
    this.shown = options.columns;
    this.rowHeight = options.rowHeight ?? usualRowHeight;
    this.head = element('div', { class: 'table-head', role: 'row', 'aria-rowindex': 1 });
    this.canvas = element('div', { class: 'table-canvas', role: 'rowgroup' });
    this.viewport = element('div', { class: 'table-viewport', tabindex: 0, role: 'rowgroup', 'aria-label': options.label }, [this.canvas]);
    this.root = element('div', { class: 'table', role: 'grid', 'aria-label': options.label, 'data-testid': options.id }, [
      element('div', { role: 'rowgroup' }, [this.head]),
      this.viewport,
    ]);
    this.root.style.setProperty('--table-row-height', `${this.rowHeight}px`);
    this.viewport.addEventListener('scroll', () => this.draw(false), { passive: true });
    this.viewport.addEventListener('keydown', (event) => this.onKey(event));
    this.canvas.addEventListener('click', (event) => this.onClick(event));
    if (typeof ResizeObserver !== 'undefined') new ResizeObserver(() => this.layOut()).observe(this.viewport);
    this.layOut();
  }

  /** Changes the columns, keeping the rows. */
  setColumns(columns: readonly VirtualColumn<Row>[]): void {
    this.columns = columns;
    this.layOut();
  }

  /** Replaces the rows; the selected row stays selected if it still exists. */
  setRows(rows: readonly Row[], selectedKey: string | undefined): void {
    this.rows = rows;
    this.current = selectedKey === undefined ? -1 : rows.findIndex((row) => this.options.keyOf(row) === selectedKey);
    this.canvas.style.height = `${rows.length * this.rowHeight}px`;
    this.root.setAttribute('aria-rowcount', String(rows.length + 1));
    this.draw(true);
  }

  /** Marks the column by which the rows are sorted. */
  setSort(column: string, direction: 'ascending' | 'descending' | 'none'): void {
    for (const cell of this.head.children) {
      const own = (cell as HTMLElement).dataset['column'] === column;
      cell.setAttribute('aria-sort', own ? direction : 'none');
    }
  }

  /** Selects a row and scrolls it into view. False if no row has that key. */
  select(key: string): boolean {
    const index = this.rows.findIndex((row) => this.options.keyOf(row) === key);
    if (index < 0) return false;
    this.moveTo(index);
    return true;
  }

  private layOut(): void {
    const width = this.viewport.clientWidth;
    this.shown = this.columns.filter((column) => column.hideBelow === undefined || width === 0 || width >= column.hideBelow);
    this.root.style.setProperty('--table-tracks', this.shown.map((column) => column.track).join(' '));
    const sorts = new Map([...this.head.children].map((cell) => [(cell as HTMLElement).dataset['column'], cell.getAttribute('aria-sort')]));
    this.head.replaceChildren(
      ...this.shown.map((column) => {
        const label = element('button', {
          type: 'button',
          class: 'table-sort',
          text: column.title,
          title: column.longTitle,
          'aria-label': column.longTitle,
        });
        label.addEventListener('click', () => this.options.onSort(column.id));
        return element(
          'div',
          { role: 'columnheader', class: `cell ${column.align}`, 'data-column': column.id, 'aria-sort': sorts.get(column.id) ?? 'none' },
          [label],
        );
      }),
    );
    this.draw(true);
  }

  private draw(force: boolean): void {
    const height = this.viewport.clientHeight || 480;
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / this.rowHeight) - margin);
    const last = Math.min(this.rows.length, Math.ceil((this.viewport.scrollTop + height) / this.rowHeight) + margin);
    const key = `${first}:${last}`;
    if (!force && key === this.drawnWindow) return;
    this.drawnWindow = key;
    const drawn: HTMLElement[] = [];
    for (let index = first; index < last; index += 1) drawn.push(this.drawRow(this.rows[index] as Row, index));
    const focused = this.focusedControl();
    this.canvas.replaceChildren(...drawn);
    if (focused) this.controlOf(focused.key, focused.control)?.focus({ preventScroll: true });
  }

  /** The focused control: every draw recreates the rows, and a control must not lose focus because of that. */
  private focusedControl(): { readonly key: string; readonly control: string } | undefined {
    const active = document.activeElement;
    if (!active || !this.canvas.contains(active)) return undefined;
    const control = (active as HTMLElement).dataset['control'];
    const key = active.closest<HTMLElement>('.table-row')?.dataset['tensor'];
    return control === undefined || key === undefined ? undefined : { key, control };
  }

  private controlOf(key: string, control: string): HTMLElement | undefined {
    const row = [...this.canvas.children].find((made) => (made as HTMLElement).dataset['tensor'] === key);
    return row?.querySelector<HTMLElement>(`[data-control="${control}"]`) ?? undefined;
  }

  private drawRow(row: Row, index: number): HTMLElement {
    const selected = index === this.current;
    const made = element(
      'div',
      {
        class: selected ? 'table-row selected' : 'table-row',
        role: 'row',
        id: `${this.options.id}-row-${index}`,
        'aria-rowindex': index + 2,
        'aria-selected': selected ? 'true' : 'false',
        'data-index': index,
        'data-tensor': this.options.keyOf(row),
      },
      this.shown.map((column) => {
        const text = column.text(row);
        if (column.cell)
          return element('div', { role: 'gridcell', class: `cell ${column.align}`, title: text, 'data-cell': column.id }, [
            column.cell(row),
          ]);
        if (column.keepEnd !== true)
          return element('div', { role: 'gridcell', class: `cell ${column.align}`, text, title: text, 'data-cell': column.id });
        // The box is right-to-left so that it overflows on the left; the isolated text inside stays left-to-right.
        return element('div', { role: 'gridcell', class: `cell ${column.align} keep-end`, title: text, 'data-cell': column.id }, [
          element('bdi', { dir: 'ltr', text }),
        ]);
      }),
    );
    made.style.top = `${index * this.rowHeight}px`;
    return made;
  }

  private onClick(event: MouseEvent): void {
    const row = (event.target as HTMLElement).closest<HTMLElement>('.table-row');
    if (row?.dataset['index'] !== undefined) this.moveTo(Number(row.dataset['index']));
  }

  private onKey(event: KeyboardEvent): void {
    // A control inside a cell handles its own keys.
    if (event.target !== this.viewport || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((this.viewport.clientHeight || 480) / this.rowHeight) - 1);
    const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key];
    if (step !== undefined) this.moveTo(this.current + step);
    else if (event.key === 'Home') this.moveTo(0);
    else if (event.key === 'End') this.moveTo(this.rows.length - 1);
    else if (!this.onOtherKey(event.key)) return;
    event.preventDefault();
  }

  private onOtherKey(key: string): boolean {
    const row = this.rows[this.current];
    return row !== undefined && this.options.onKey?.(row, key) === true;
  }

  private moveTo(index: number): void {
    if (this.rows.length === 0) return;
    this.current = Math.min(Math.max(index, 0), this.rows.length - 1);
    const top = this.current * this.rowHeight;
    const height = this.viewport.clientHeight || 480;
    if (top < this.viewport.scrollTop) this.viewport.scrollTop = top;
    else if (top + this.rowHeight > this.viewport.scrollTop + height) this.viewport.scrollTop = top + this.rowHeight - height;
    this.viewport.setAttribute('aria-activedescendant', `${this.options.id}-row-${this.current}`);
    this.draw(true);
    this.options.onSelect(this.rows[this.current] as Row);
  }
}
