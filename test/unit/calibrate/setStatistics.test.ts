import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sequenceStatistics, setStatistics, writtenPerplexity } from '../../../src/engine/calibrate/setStatistics';
import { propertySeed } from '../../support/propertySeed';

test('by hand', () => {
  // Tokens 1, 2, 1, 2, 1, 2: two of three 4-grams are new; entropy of two equal shares is 1 bit.
  const { unigramEntropy, distinct, repetition } = sequenceStatistics([[1, 2, 1, 2, 1, 2]]);
  expect(unigramEntropy).toBeCloseTo(1, 12);
  expect(distinct).toEqual([2 / 6, 2 / 5, 2 / 4]);
  expect(repetition).toBeCloseTo(1 / 3, 12);
  // Shares 1/2, 1/4, 1/4.
  expect(
    sequenceStatistics([
      [5, 5],
      [6, 7],
    ]).unigramEntropy,
  ).toBeCloseTo(1.5, 12);
});

test('n-grams stay within their sequence, and short sequences have none', () => {
  expect(sequenceStatistics([[1], [1]])).toEqual({ unigramEntropy: 0, distinct: [0.5, 0, 0], repetition: 0 });
  expect(
    sequenceStatistics([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]),
  ).toMatchObject({ distinct: [0.5, 0.5, 0.5], repetition: 0 });
});

test('a set counts documents, tokens and different sequences', () => {
  const sequences = [
    [0, 4, 1, 0, 5],
    [0, 4, 4, 4, 4],
    [0, 4, 4, 4, 4],
  ];
  expect(setStatistics(sequences, { vocabularySize: 8, start: 0 })).toMatchObject({
    documents: 4,
    differentTokens: 4,
    vocabularyCoverage: 0.5,
    differentSequences: 2,
  });
  expect(setStatistics(sequences, { vocabularySize: undefined, start: undefined })).toMatchObject({ documents: 3 });
});

test('the perplexity of written text leaves out start tokens that were put behind an end', () => {
  const logProbabilities = [Math.log(1 / 2), Math.log(1 / 8), Math.log(1 / 1000), Math.log(1 / 4)];
  const sequence = { ids: [0, 5, 1, 0, 6], logProbabilities };
  expect(writtenPerplexity([sequence], { start: 0, ends: [1] })).toBeCloseTo(4, 10);
  expect(writtenPerplexity([sequence], { start: 9, ends: [1] })).toBeCloseTo((2 * 8 * 1000 * 4) ** (1 / 4), 8);
  expect(writtenPerplexity([sequence, sequence], { start: 0, ends: [1] })).toBeCloseTo(4, 10);
  expect(writtenPerplexity([{ ids: [0, 5] }], { start: 0, ends: [1] })).toBeUndefined();
});

test('shares are shares, and entropy is at most that of equal shares', () => {
  const sequences = fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(sequences, (ids) => {
      const { unigramEntropy, distinct, repetition } = sequenceStatistics(ids);
      for (const share of [...distinct, repetition]) expect(share >= 0 && share <= 1).toBe(true);
      expect(unigramEntropy).toBeLessThanOrEqual(Math.log2(new Set(ids.flat()).size) + 1e-9);
    }),
    { seed: propertySeed },
  );
});
