import { element } from './dom';

/** A column of a plain table. */
export interface SortableColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** A cell: what is read, and the number it is ordered by where the text would mislead. */
export interface SortableCell {
  readonly text: string;
  readonly order?: number;
}

const collator = new Intl.Collator('en', { numeric: true });

/** Orders rows by one column; ties keep their places. Cells with `order` go by it, others by text with numbers in it. */
export function sortRows(
  rows: readonly (readonly SortableCell[])[],
  column: number,
  descending: boolean,
): readonly (readonly SortableCell[])[] {
  const compare = (a: SortableCell | undefined, b: SortableCell | undefined) => {
    if (a?.order !== undefined && b?.order !== undefined) return a.order - b.order;
    if (a?.order !== undefined || b?.order !== undefined) return a?.order === undefined ? 1 : -1;
    return collator.compare(a?.text ?? '', b?.text ?? '');
  };
  return [...rows].sort((a, b) => (descending ? compare(b[column], a[column]) : compare(a[column], b[column])));
}

/** A table for some hundred rows whose headers sort it. */
export function sortableTable(
  columns: readonly SortableColumn[],
  rows: readonly (readonly SortableCell[])[],
  id: string,
): HTMLTableElement {
  const body = element('tbody');
  let sorted = { column: -1, descending: false };
  const fill = (shown: readonly (readonly SortableCell[])[]) =>
    body.replaceChildren(
      ...shown.map((row) =>
        element(
          'tr',
          {},
          columns.map(({ align }, index) => {
            const cell = { class: align === 'right' ? 'right numbers' : undefined, text: row[index]?.text ?? '' };
            return index === 0 ? element('th', { scope: 'row', ...cell }) : element('td', cell);
          }),
        ),
      ),
    );
  const heads = columns.map(({ title, align }, index) => {
    const label = element('button', { type: 'button', class: 'sort', text: title });
    const head = element('th', { scope: 'col', class: align === 'right' ? 'right' : undefined, 'aria-sort': 'none' }, [label]);
    label.addEventListener('click', () => {
      sorted = { column: index, descending: sorted.column === index && !sorted.descending };
      heads.forEach((other, place) =>
        other.setAttribute('aria-sort', place === index ? (sorted.descending ? 'descending' : 'ascending') : 'none'),
      );
      fill(sortRows(rows, sorted.column, sorted.descending));
    });
    return head;
  });
  fill(rows);
  return element('table', { class: 'plain', 'data-testid': id }, [element('thead', {}, [element('tr', {}, heads)]), body]);
}
