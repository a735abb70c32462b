import { element } from './dom';

/** A column of a virtual table. */
export interface VirtualColumn<Row> {
  readonly id: string;
  readonly title: string;
  readonly align: 'left' | 'right';
  /** CSS grid track, for example `minmax(12rem, 1fr)`. */
  readonly track: string;
  readonly text: (row: Row) => string;
  /** Text that does not fit loses its start rather than its end: names of tensors differ at their ends. */
  readonly keepEnd?: boolean;
  /** Below this width of the table in pixels the column is left out. */
  readonly hideBelow?: number;
}

/** Height of a row in pixels; all rows are alike, so that a position is a multiplication. */
const rowHeight = 24;
/** Rows drawn above and below what is visible. */
const margin = 8;

/**
 * A table that holds only the rows in sight, so that 100,000 of them cost no more than forty.
 * Keyboard: arrows, page up and down, home, end; Enter chooses. Clicking a header asks for another order.
 * To a screen reader it is a grid with the full number of rows.
 */
export class VirtualTable<Row> {
  readonly root: HTMLElement;
  private readonly head: HTMLElement;
  private readonly viewport: HTMLElement;
  private readonly canvas: HTMLElement;
  private rows: readonly Row[] = [];
  private current = -1;
  private drawnWindow = '';
  private shown: readonly VirtualColumn<Row>[];

  constructor(
    private readonly options: {
      readonly label: string;
      readonly id: string;
      readonly columns: readonly VirtualColumn<Row>[];
      readonly keyOf: (row: Row) => string;
      readonly onSelect: (row: Row) => void;
      readonly onSort: (column: string) => void;
    },
  ) {
    this.shown = options.columns;
    this.head = element('div', { class: 'table-head', role: 'row', 'aria-rowindex': 1 });
    this.canvas = element('div', { class: 'table-canvas', role: 'rowgroup' });
    this.viewport = element('div', { class: 'table-viewport', tabindex: 0, role: 'rowgroup', 'aria-label': options.label }, [this.canvas]);
    this.root = element('div', { class: 'table', role: 'grid', 'aria-label': options.label, 'data-testid': options.id }, [
      element('div', { role: 'rowgroup' }, [this.head]),
      this.viewport,
    ]);
    this.viewport.addEventListener('scroll', () => this.draw(false), { passive: true });
    this.viewport.addEventListener('keydown', (event) => this.onKey(event));
    this.canvas.addEventListener('click', (event) => this.onClick(event));
    if (typeof ResizeObserver !== 'undefined') new ResizeObserver(() => this.layOut()).observe(this.viewport);
    this.layOut();
  }

  /** Replaces the rows; keeps the selected row selected where it is still there. */
  setRows(rows: readonly Row[], selectedKey: string | undefined): void {
    this.rows = rows;
    this.current = selectedKey === undefined ? -1 : rows.findIndex((row) => this.options.keyOf(row) === selectedKey);
    this.canvas.style.height = `${rows.length * rowHeight}px`;
    this.root.setAttribute('aria-rowcount', String(rows.length + 1));
    this.draw(true);
  }

  /** Shows which column orders the rows. */
  setSort(column: string, direction: 'ascending' | 'descending' | 'none'): void {
    for (const cell of this.head.children) {
      const own = (cell as HTMLElement).dataset['column'] === column;
      cell.setAttribute('aria-sort', own ? direction : 'none');
    }
  }

  /** Selects a row and brings it into sight. False where no row has that key. */
  select(key: string): boolean {
    const index = this.rows.findIndex((row) => this.options.keyOf(row) === key);
    if (index < 0) return false;
    this.moveTo(index);
    return true;
  }

  private layOut(): void {
    const width = this.viewport.clientWidth;
    this.shown = this.options.columns.filter((column) => column.hideBelow === undefined || width === 0 || width >= column.hideBelow);
    this.root.style.setProperty('--table-tracks', this.shown.map((column) => column.track).join(' '));
    const sorts = new Map([...this.head.children].map((cell) => [(cell as HTMLElement).dataset['column'], cell.getAttribute('aria-sort')]));
    this.head.replaceChildren(
      ...this.shown.map((column) => {
        const label = element('button', { type: 'button', class: 'table-sort', text: column.title });
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
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / rowHeight) - margin);
    const last = Math.min(this.rows.length, Math.ceil((this.viewport.scrollTop + height) / rowHeight) + margin);
    const key = `${first}:${last}`;
    if (!force && key === this.drawnWindow) return;
    this.drawnWindow = key;
    const drawn: HTMLElement[] = [];
    for (let index = first; index < last; index += 1) drawn.push(this.drawRow(this.rows[index] as Row, index));
    this.canvas.replaceChildren(...drawn);
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
        if (column.keepEnd !== true) return element('div', { role: 'gridcell', class: `cell ${column.align}`, text, title: text });
        // The box runs from right to left so that its overflow is on the left; the isolated text inside runs as usual.
        return element('div', { role: 'gridcell', class: `cell ${column.align} keep-end`, title: text }, [
          element('bdi', { dir: 'ltr', text }),
        ]);
      }),
    );
    made.style.top = `${index * rowHeight}px`;
    return made;
  }

  private onClick(event: MouseEvent): void {
    const row = (event.target as HTMLElement).closest<HTMLElement>('.table-row');
    if (row?.dataset['index'] !== undefined) this.moveTo(Number(row.dataset['index']));
  }

  private onKey(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor((this.viewport.clientHeight || 480) / rowHeight) - 1);
    const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key];
    if (step !== undefined) this.moveTo(this.current + step);
    else if (event.key === 'Home') this.moveTo(0);
    else if (event.key === 'End') this.moveTo(this.rows.length - 1);
    else return;
    event.preventDefault();
  }

  private moveTo(index: number): void {
    if (this.rows.length === 0) return;
    this.current = Math.min(Math.max(index, 0), this.rows.length - 1);
    const top = this.current * rowHeight;
    const height = this.viewport.clientHeight || 480;
    if (top < this.viewport.scrollTop) this.viewport.scrollTop = top;
    else if (top + rowHeight > this.viewport.scrollTop + height) this.viewport.scrollTop = top + rowHeight - height;
    this.viewport.setAttribute('aria-activedescendant', `${this.options.id}-row-${this.current}`);
    this.draw(true);
    this.options.onSelect(this.rows[this.current] as Row);
  }
}
