import fc from 'fast-check';
import { expect, test } from 'vitest';
import { constantTemperature, formatTemperature, parseTemperatures } from '../../../src/common/temperatureSchedule';
import { propertySeed } from '../../support/propertySeed';

test('one temperature, a schedule, or several', () => {
  expect(parseTemperatures('0.8')).toEqual([constantTemperature(0.8)]);
  expect(parseTemperatures('2:1:32')).toEqual([{ first: 2, last: 1, length: 32 }]);
  expect(parseTemperatures('0.7, 1 ,2 : 1 : 8')).toEqual([
    constantTemperature(0.7),
    constantTemperature(1),
    { first: 2, last: 1, length: 8 },
  ]);
});

test.each(['', '0', '-1', '101', '1:2', '1:2:3:4', '1::3', '1:2:x', '1:2:-3', '1:2:3.5', '1,', 'NaN', 'Infinity', '1:0:4'])(
  '%j is none',
  (text) => {
    expect(parseTemperatures(text)).toBeUndefined();
  },
);

test('what is formatted is read again', () => {
  const temperature = fc.integer({ min: 1, max: 1000 }).map((value) => value / 10);
  fc.assert(
    fc.property(temperature, temperature, fc.integer({ min: 1, max: 5000 }), (first, last, length) => {
      expect(parseTemperatures(formatTemperature({ first, last, length }))).toEqual([{ first, last, length }]);
      expect(parseTemperatures(formatTemperature(constantTemperature(first)))).toEqual([constantTemperature(first)]);
    }),
    { seed: propertySeed },
  );
});
