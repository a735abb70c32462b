import { element } from './dom';

/** A column of a plain table. */
export interface SortableColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** A cell: its text, and a number to sort by if the text would sort wrongly. */
export interface SortableCell {
  readonly text: string;
  readonly order?: number;
}

const collator = new Intl.Collator('en', { numeric: true });

/** Sorts rows by one column; ties keep their order. Cells with `order` are sorted by it, others by their text with numbers compared as numbers. */
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

/** A table for up to a few hundred rows, sorted by clicking its headers. */
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
