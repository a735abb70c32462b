import { expect, test } from 'vitest';
import { progressText } from '../../../src/cli/progressLine';
import { printable } from '../../../src/common/shown';
import { formatPairs, formatTable } from '../../../src/common/textTable';

test('numbers are right-aligned, names left-aligned, and no line ends with a space', () => {
  const table = formatTable(
    [{ title: 'Tensor' }, { title: 'Size', align: 'right' }, { title: 'Note' }],
    [
      ['a.weight', '1.00 MiB', ''],
      ['b', '512 B', 'tied'],
    ],
  );
  expect(table).toBe('Tensor        Size  Note\na.weight  1.00 MiB\nb            512 B  tied\n');
});

test('wide and combining characters keep the columns', () => {
  expect(
    formatTable(
      [{ title: 'A' }, { title: 'B' }],
      [
        ['重み', 'x'],
        ['e\u0301', 'y'],
      ],
    ),
  ).toBe('A     B\n重み  x\ne\u0301     y\n');
});

test('names from files cannot move the cursor or colour the terminal', () => {
  expect(printable('a\u001b[31mb\nc\u202e')).toBe('a?[31mb?c?');
  expect(printable('\u200fa\u061cb\ufeffc\u200bd')).toBe('?a?b?c?d');
  expect(formatTable([{ title: 'A' }], [['x\ny']])).toBe('A\nx?y\n');
});

test('pairs omit empty values and indent continuation lines', () => {
  expect(
    formatPairs([
      ['Size', '1 B'],
      ['Nothing', undefined],
      ['Files', ['a', 'b\nc']],
    ]),
  ).toBe('Size   1 B\nFiles  a\n       b?c\n');
});

test('progress shows phase, amount and time left', () => {
  const base = { phase: 'Evaluating', done: 3, unit: 'windows', elapsedSeconds: 1, rssBytes: 1 };
  expect(progressText(base)).toBe('Evaluating 3 windows');
  expect(progressText({ ...base, total: 12, remainingSeconds: 9 })).toBe('Evaluating 3/12 windows (25 %), 9.0 s left');
});
