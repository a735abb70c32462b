import { printable } from './shown';

/** A column: its title and its alignment. Numbers are right-aligned. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Display width: code points, wide East Asian ones as two. Tensor names are free text. */
function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const isCombining = code >= 0x300 && code <= 0x36f;
    const isWide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xff00 && code <= 0xff60) ||
      code >= 0x1f300;
    columns += isCombining ? 0 : isWide ? 2 : 1;
  }
  return columns;
}

/** Aligned columns under titles, two spaces apart, no trailing spaces, every line ended. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(printable))];
  const widths = columns.map((_, index) => cells.reduce((widest, row) => Math.max(widest, width(row[index] ?? '')), 0));
  return cells
    .map((row) =>
      columns
        .map((column, index) => {
          const cell = row[index] ?? '';
          const space = ' '.repeat((widths[index] as number) - width(cell));
          return column.align === 'right' ? space + cell : cell + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** A value of `formatPairs`: one line, or several. */
export type PairValue = string | readonly string[] | undefined;

/** Names and values in two columns, without titles; empty values are left out. */
export function formatPairs(pairs: readonly (readonly [name: string, value: PairValue])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string | readonly string[]] => pair[1] !== undefined && pair[1].length > 0);
  const widest = shown.reduce((most, [name]) => Math.max(most, width(name)), 0);
  return shown
    .map(([name, value]) => {
      const [first = '', ...rest] = (typeof value === 'string' ? [value] : value).map(printable);
      const start = name + ' '.repeat(widest - width(name) + 2);
      return [start + first, ...rest.map((line) => ' '.repeat(widest + 2) + line)].map((line) => `${line.trimEnd()}\n`).join('');
    })
    .join('');
}
