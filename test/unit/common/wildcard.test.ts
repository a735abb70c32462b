import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { globMatcher } from '../../../src/common/glob';
import { partsFinder, wildcardMatcher } from '../../../src/common/wildcard';
import { propertySeed } from '../../support/propertySeed';

/** The slow way: a regular expression. */
function expression(pattern: string): RegExp {
  const source = [...pattern]
    .map((letter) => (letter === '*' ? '[^]*' : letter === '?' ? '[^]' : letter.replace(/[.+^${}()|[\]\\]/g, '\\$&')))
    .join('');
  return new RegExp(`^${source}$`);
}

const letters = (alphabet: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...alphabet), maxLength });

test('any pattern matches what its regular expression matches', () => {
  fc.assert(
    fc.property(letters('ab*?.', 9), letters('ab.', 14), (pattern, text) => {
      expect(wildcardMatcher(pattern)(text)).toBe(expression(pattern).test(text));
    }),
    { seed: propertySeed, numRuns: 20_000 },
  );
});

test('stretches with question marks that are longer than a word of bits', () => {
  fc.assert(
    fc.property(letters('ab?', 80), letters('ab', 200), (part, text) => {
      expect(wildcardMatcher(`*${part}*`)(text)).toBe(expression(`*${part}*`).test(text));
    }),
    { seed: propertySeed, numRuns: 1000 },
  );
});

test('parts are found one behind the other', () => {
  fc.assert(
    fc.property(fc.array(letters('ab', 4), { maxLength: 4 }), letters('ab', 12), (parts, text) => {
      expect(partsFinder(parts)(text)).toBe(new RegExp(parts.join('[^]*')).test(text));
    }),
    { seed: propertySeed, numRuns: 5000 },
  );
});

describe('time is near linear in the letters', () => {
  /** Seconds of processor time, which a busy machine does not lengthen much, for a text of so many letters: the best of three. */
  const seconds = (run: (letters: number) => unknown, count: number): number =>
    Math.min(
      ...[0, 1, 2].map(() => {
        const started = process.cpuUsage();
        run(count);
        return process.cpuUsage(started).user / 1e6;
      }),
    );

  test.for<readonly [string, (count: number) => unknown]>([
    ['two stars', (count) => globMatcher('*a*b')('a'.repeat(count))],
    ['a long literal', (count) => globMatcher(`*${'a'.repeat(count / 2)}b*`)('a'.repeat(count))],
    ['many stars', (count) => globMatcher('*a'.repeat(500) + 'b')('a'.repeat(count))],
    ['question marks', (count) => globMatcher(`*${'a?'.repeat(16)}b*`)('a'.repeat(count))],
    ['parts', (count) => partsFinder(['a', 'a', 'a', 'b'])('a'.repeat(count))],
  ])('%s', ([, run]) => {
    run(1000);
    // Sixteen times the letters: quadratic would take 256 times as long.
    expect(seconds(run, 1_600_000)).toBeLessThan(80 * Math.max(0.002, seconds(run, 100_000)));
  });
});
