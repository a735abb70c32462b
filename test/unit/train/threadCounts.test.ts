import { expect, test } from 'vitest';
import { threadCounts, threadNotes } from '../../../src/engine/train/threadCounts';
import { worstVerdict } from '../../../src/protocol/verdict';

test.each([
  [undefined, 2, [2]],
  [{ step: 10, threads: [2] }, 2, [2]],
  [{ step: 10, threads: [2] }, 4, [2, 4]],
  [{ step: 10, threads: [2, 4] }, 2, [2, 4, 2]],
  // Nothing was trained yet, or nothing is left to train: this run's threads, or those of the steps.
  [{ step: 0, threads: [2] }, 4, [4]],
  [{ step: 100, threads: [2] }, 4, [2]],
  // A checkpoint of an earlier version.
  [{ step: 10 }, 4, [4]],
] as const)('a checkpoint %j of 100 steps, resumed with %d threads, has run with %j', (resumed, now, expected) => {
  expect(threadCounts(resumed, 100, now)).toEqual(expected);
});

test('one number of threads is no news', () => {
  expect(threadNotes([3])).toEqual([]);
  expect(threadNotes([2, 4, 2]).join()).toContain('(2, then 4, then 2)');
});

test('an output in several formats has the verdict of the worst', () => {
  const of = (...verdicts: ('passed' | 'changed' | 'failed')[]) =>
    worstVerdict(verdicts.map((verdict) => ({ passed: verdict !== 'failed', verdict })));
  expect([of('passed', 'passed'), of('passed', 'changed'), of('changed', 'failed', 'passed')]).toEqual(['passed', 'changed', 'failed']);
  // A report of an earlier version.
  expect(worstVerdict([{ passed: false }, { passed: true }])).toBe('failed');
});
