import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundHalfToEven } from '../../../src/common/rounding';
import { bfloat16ToNumber, decodingTable, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../../../src/common/halfFloat';
import { SeededRandom } from '../../../src/common/random';
import { roundHalfToEven as plainRoundHalfToEven } from '../../support/roundHalfToEven';
import { formatBytes, formatNumber, formatSeconds, parseBytes } from '../../../src/common/units';
import { propertySeed } from '../../support/propertySeed';

describe('roundHalfToEven', () => {
  test.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [3.7, 4],
    [-3.2, -3],
    [2 ** 51 + 0.5, 2 ** 51],
    [2 ** 51 + 1.5, 2 ** 51 + 2],
    [-(2 ** 51) - 1.5, -(2 ** 51) - 2],
    [2 ** 52 + 1, 2 ** 52 + 1],
    [Infinity, Infinity],
  ])('%d becomes %d', (value, expected) => expect(roundHalfToEven(value)).toBe(expected));
  test('NaN stays NaN', () => expect(roundHalfToEven(NaN)).toBeNaN());
  test('any number is rounded by the definition, including ties of every magnitude', () => {
    const halves = fc.maxSafeInteger().map((integer) => integer / 2);
    fc.assert(
      fc.property(fc.oneof(fc.double(), halves), (value) => {
        expect(roundHalfToEven(value) + 0).toBe(plainRoundHalfToEven(value) + 0);
      }),
      { seed: propertySeed, numRuns: 2000 },
    );
  });
});

describe('float16', () => {
  // Known values of IEEE 754 binary16.
  test.each([
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
  ])('code %i is %d', (bits, value) => expect(float16ToNumber(bits)).toBe(value));

  test.each([
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [2 ** -25, 0x0000], // halfway between 0 and the smallest number: to even
    [2 ** -25 * 1.0001, 0x0001],
    [1 + 2 ** -11, 0x3c00], // halfway: to even
    [1 + 3 * 2 ** -11, 0x3c02],
    [-0, 0x8000],
    [1e-8, 0x0000],
  ])('%d becomes code %i', (value, bits) => expect(numberToFloat16(value)).toBe(bits));

  test('every code survives a round trip', () => {
    for (let bits = 0; bits < 65536; bits += 1) {
      const value = float16ToNumber(bits);
      if (Number.isNaN(value)) expect(float16ToNumber(numberToFloat16(value))).toBeNaN();
      else expect(numberToFloat16(value)).toBe(bits);
    }
  });

  test('narrowing gives the nearest code, ties to even', () => {
    const random = new SeededRandom(1);
    for (let i = 0; i < 20_000; i += 1) {
      const value = Math.fround(random.nextNormal() * 2 ** (random.nextBelow(40) - 28));
      const code = numberToFloat16(value);
      const chosen = Math.abs(float16ToNumber(code) - value);
      const magnitude = code & 0x7fff;
      for (const neighbour of [magnitude - 1, magnitude + 1].filter((other) => other >= 0 && other < 0x7c00)) {
        const other = Math.abs(float16ToNumber((code & 0x8000) | neighbour) - value);
        expect(other > chosen || (other === chosen && code % 2 === 0)).toBe(true);
      }
    }
  });
});

describe('bfloat16', () => {
  test('every code survives a round trip', () => {
    const table = decodingTable('bfloat16');
    for (let bits = 0; bits < 65536; bits += 1) {
      const value = table[bits]!;
      if (Number.isNaN(value)) expect(bfloat16ToNumber(numberToBfloat16(value))).toBeNaN();
      else expect(numberToBfloat16(value)).toBe(bits);
    }
  });
  test('ties go to even', () => {
    expect(numberToBfloat16(1 + 2 ** -8)).toBe(0x3f80);
    expect(numberToBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
  });
});

describe('units', () => {
  test.each([
    [1023, '1023 B'],
    [7905752, '7.54 MiB'],
    [14e9, '13.0 GiB'],
  ])('%d bytes read %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
  test.each([
    ['3GB', 3e9],
    ['512 MiB', 512 * 2 ** 20],
    ['1.5k', 1500],
    ['0', undefined],
    ['-1GB', undefined],
    ['lots', undefined],
    ['1e400', undefined],
  ])('%s reads as %s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));
  test('durations', () => expect([0.25, 8.25, 83.2, 7260].map(formatSeconds)).toEqual(['250 ms', '8.3 s', '1 min 23 s', '2 h 1 min']));
  test('durations carry a full minute', () => expect([59.7, 119.6].map(formatSeconds)).toEqual(['1 min 0 s', '2 min 0 s']));
  test('numbers', () => expect([0, 1234.5678, 1e-6, NaN].map((value) => formatNumber(value))).toEqual(['0', '1235', '1.000e-6', 'NaN']));
});
