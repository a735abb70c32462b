import { expect, test } from 'vitest';
import { scriptShares } from '../../../src/engine/calibrate/textScripts';

test.each([
  ["It was 9 o'clock!", [['Latin', 1]]],
  ['Über, été', [['Latin', 1]]],
  [
    'да нет no',
    [
      ['Cyrillic', 5 / 7],
      ['Latin', 2 / 7],
    ],
  ],
  [
    '日本のカ',
    [
      ['Han', 1 / 2],
      ['Hiragana', 1 / 4],
      ['Katakana', 1 / 4],
    ],
  ],
  // Georgian is none of the scripts that are named.
  [
    'ქართ abcd',
    [
      ['other', 1 / 2],
      ['Latin', 1 / 2],
    ],
  ],
  ['12 ... \u{1F600}', []],
  ['', []],
])('%j', (text, expected) => {
  const shares = scriptShares(text);
  expect(new Map(shares.map(({ script, share }) => [script, share]))).toEqual(new Map(expected as [string, number][]));
  expect(shares.map(({ share }) => share)).toEqual([...shares.map(({ share }) => share)].sort((a, b) => b - a));
});
