import { expect, test } from 'vitest';
import { mostProbable } from '../../../src/engine/calibrate/sources/text';

test('the sequences with the largest mean stay, in their order', () => {
  const sequences = [[-1, -3], [-5], [-1, -1, -1], [-2], [-9, -1]].map((logProbabilities) => ({ logProbabilities }));
  // Means -2, -5, -1, -2, -5.
  expect(mostProbable(sequences, 1)).toEqual([2]);
  expect(mostProbable(sequences, 2)).toEqual([0, 2]);
  expect(mostProbable(sequences, 3)).toEqual([0, 2, 3]);
  expect(mostProbable(sequences, 4)).toEqual([0, 1, 2, 3]);
  expect(mostProbable(sequences, 9)).toEqual([0, 1, 2, 3, 4]);
});
