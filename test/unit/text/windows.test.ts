import { expect, test } from 'vitest';
import { cutWindows, inputIds, targetIds } from '../../../src/engine/text/windows';

test('windows drop a shorter rest; with BOS all tokens are targets, without it all but the first', () => {
  const windows = cutWindows([1, 2, 3, 4, 5, 6, 7], 3);
  expect(windows.count).toBe(2);
  expect([...inputIds(windows, 0, 2, 9)]).toEqual([9n, 1n, 2n, 9n, 4n, 5n]);
  expect([...targetIds(windows, 0, 2, 9)]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
  expect([...inputIds(windows, 1, 1, undefined)]).toEqual([4n, 5n]);
  expect([...targetIds(windows, 1, 1, undefined)]).toEqual([5n, 6n]);
  expect(() => cutWindows([1, 2], 3)).toThrow(/2 tokens/);
});
