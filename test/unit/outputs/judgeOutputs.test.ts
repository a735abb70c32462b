import { describe, expect, test } from 'vitest';
import type { DType } from '../../../src/protocol/dtypes';
import { changeOf } from '../../../src/engine/outputs/verification/changeOfOutputs';
import { checkExact, checkRounded } from '../../../src/engine/outputs/verification/judgeOutputs';
import { differenceOf, meanDivergence, typicalSize } from '../../../src/engine/outputs/verification/measures';
import { verdictFor, outputChange } from '../../../src/engine/outputs/verification/outputChange';
import type { OutputValues } from '../../../src/engine/outputs/verification/outputValues';

const output = (values: readonly number[], dtype: DType = 'float32'): OutputValues => ({
  name: 'y',
  dtype,
  shape: [values.length],
  values: Float64Array.from(values),
});

const ordinary = Array.from({ length: 100 }, (_, index) => Math.sin(index + 1));

/** The check of `found` against `planned`, which rounding alone turns into `rounded`. */
const check = (planned: OutputValues, found: OutputValues, rounded: OutputValues = planned) =>
  checkExact('outputs-exact', { planned: [planned], rounded: () => Promise.resolve([rounded]) }, [found]);

describe('outputs that must be as planned', () => {
  test.each([1e-30, 1, 1e30])('of size %d may differ by a thousandth of it, not by more', async (size) => {
    const planned = output(ordinary.map((value) => size * value));
    expect(await check(planned, output(ordinary.map((value) => size * (value + 5e-4))))).toMatchObject({ passed: true, limit: 1e-3 });
    expect(await check(planned, output(ordinary.map((value) => size * (value + 5e-3))))).toMatchObject({ passed: false, limit: 1e-3 });
  });

  test('NaN and infinities are equal to themselves only', async () => {
    const planned = output([...ordinary, NaN, Infinity, -Infinity]);
    expect(await check(planned, planned)).toMatchObject({ passed: true, measured: 0 });
    for (const values of [
      [...ordinary, 1, Infinity, -Infinity],
      [...ordinary, NaN, -Infinity, -Infinity],
      [...ordinary, NaN, Infinity, NaN],
      [NaN, ...ordinary.slice(1), NaN, Infinity, -Infinity],
    ])
      expect(await check(planned, output(values))).toMatchObject({ passed: false, unit: 'share of values' });
  });

  test('a mask of huge values does not hide a fault beside it', async () => {
    const masked = ordinary.map((value, index) => (index % 2 === 0 ? -3.4e38 : value));
    const planned = output(masked);
    expect(await check(planned, output(masked.map((value, index) => (index === 51 ? value + 0.05 : value))))).toMatchObject({
      passed: false,
    });
  });

  test('halves have the precision of halves', async () => {
    const found = ordinary.map((value) => value * 1.003);
    expect(await check(output(ordinary, 'float16'), output(found, 'float16'))).toMatchObject({ passed: true });
    expect(await check(output(ordinary), output(found))).toMatchObject({ passed: false });
    expect(
      await check(
        output(ordinary, 'float16'),
        output(
          ordinary.map((value) => value * 1.05),
          'float16',
        ),
      ),
    ).toMatchObject({
      passed: false,
    });
  });

  test('whole numbers are equal, but for those that rounding alone changes', async () => {
    const planned = output([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'int64');
    const one = output([0, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'int64');
    expect(await check(planned, one)).toMatchObject({ passed: false, measured: 0.1, limit: 0 });
    expect(await check(planned, one, one)).toMatchObject({ passed: true });
    expect(await check(planned, output([0, 0, 0, 0, 5, 6, 7, 8, 9, 10], 'int64'), one)).toMatchObject({ passed: false });
  });

  test('where rounding alone moves the source, the limit is eight times that and says so', async () => {
    const moved = (by: number) => output(ordinary.map((value) => value + by));
    expect(await check(moved(0), moved(0.02), moved(0.01))).toMatchObject({
      passed: true,
      note: expect.stringMatching(/rounding alone/i) as string,
    });
    expect(await check(moved(0), moved(0.2), moved(0.01))).toMatchObject({ passed: false });
    // A limit that nothing exceeds would be none.
    expect(await check(moved(0), moved(2), moved(5))).toMatchObject({ passed: false });
  });

  test('another shape fails, unless rounding alone gives another one too', async () => {
    const shorter = output(ordinary.slice(1));
    expect(await check(output(ordinary), shorter)).toMatchObject({ passed: false });
    expect(await check(output(ordinary), shorter, output(ordinary.slice(2)))).toMatchObject({ passed: true });
  });

  test('one value that rounding alone moves excuses no others', async () => {
    const mask = Array.from({ length: 10_000 }, (_, index) => (Math.sin(index * index) > 0 ? 1 : 0));
    const flipped = output(mask.map((value, index) => (index === 5 ? 1 - value : value)));
    const near = output(mask.map((value, index) => (index === 9 ? 1 - value : value)));
    expect(await check(output(mask), near, flipped)).toMatchObject({ passed: true });
    const small = output(ordinary.map((value, index) => (index === 7 ? value + 0.12 : value)));
    for (const [planned, found, rounded] of [
      [output(mask), output(mask.map((value) => 1 - value)), flipped],
      [output(mask), output(mask.map(() => 0)), flipped],
      [output(ordinary), output(ordinary.map((value) => 1.4 * value)), small],
      [output(ordinary), output(ordinary.map((value, index) => (index % 10 === 0 ? value + 0.1 : value))), small],
    ] as const)
      expect(await check(planned, found, rounded)).toMatchObject({ passed: false });
    // As many as rounding moves, and somewhat more, may be others.
    const several = output(ordinary.map((value, index) => (index % 40 === 0 ? value + 0.12 : value)));
    expect(await check(output(ordinary), several, small)).toMatchObject({ passed: true });
  });

  test('an error of all values by one percent shows, however near they are to one another', async () => {
    const narrow = ordinary.map((value) => 1 + 1e-3 * value);
    expect(await check(output(narrow), output(narrow.map((value) => 1.0105 * value)))).toMatchObject({ passed: false });
    expect(await check(output(narrow), output(narrow.map((value) => 1.0005 * value)))).toMatchObject({ passed: true });
  });

  test('an output of zeros admits no difference', async () => {
    expect(await check(output([0, 0, 0]), output([0, 0, 0]))).toMatchObject({ passed: true });
    expect(await check(output([0, 0, 0]), output([0, 1e-30, 0]))).toMatchObject({ passed: false });
  });
});

describe('outputs of kernels that round activations', () => {
  const judge = (planned: OutputValues, found: OutputValues, own: OutputValues = planned) =>
    checkRounded('outputs-default', [planned], [found], {
      sourceRounding: [differenceOf(planned.values, own.values)],
      layers: 4,
      note: 'Rounded.',
    });

  test('may differ by a tenth, and by what the source itself rounds', () => {
    const scaled = (factor: number) => output(ordinary.map((value) => factor * value));
    expect(judge(scaled(1), scaled(1.09)).passed).toBe(true);
    expect(judge(scaled(1), scaled(1.15)).passed).toBe(false);
    expect(judge(scaled(1), scaled(1.15), scaled(1.1)).passed).toBe(true);
    expect(judge(scaled(1), scaled(2), scaled(3)).passed).toBe(false);
  });

  test('are not judged where they are whole numbers', () => {
    expect(judge(output([1, 2], 'int64'), output([2, 1], 'int64'))).toMatchObject({
      passed: true,
      note: expect.stringMatching(/none was judged/) as string,
    });
  });
});

describe('the change against the float model', () => {
  const change = (float: OutputValues, planned: OutputValues, made = false) =>
    changeOf([float], [planned], new Set(made ? [float.name] : [])).change;

  test('is relative to the norm, whatever the size', () => {
    for (const size of [1e-20, 1, 1e20])
      expect(
        change(output(ordinary.map((value) => 2 * size * value)), output(ordinary.map((value) => size * value)))?.measured,
      ).toBeCloseTo(0.5);
  });

  test('is everything where outputs become zero or are no longer finite', () => {
    expect(change(output(ordinary), output(ordinary.map(() => 0)))).toMatchObject({ measured: 1, limit: 0.5 });
    expect(change(output(ordinary), output(ordinary.map(() => NaN)))).toMatchObject({ measured: 1, limit: 0.5 });
  });

  test('of small outputs that are not negative is that of any other', () => {
    const small = ordinary.map((value) => 1e-3 * Math.max(0, value));
    const { measured, limit } = change(output(small), output(small.map((value) => 0.25 * value)))!;
    expect(measured).toBeCloseTo(0.75);
    expect(limit).toBe(0.5);
  });

  test('of probabilities is shown as it is, and a lot only beside half of a whole one', () => {
    const low = change(output([0.001]), output([0.011]), true)!;
    expect(low.measured).toBeCloseTo(10);
    expect(low.limit).toBeCloseTo(250);
    expect(change(output([0.001]), output([0.011]))).toMatchObject({ limit: 0.5 });
    const swapped = change(output([0.9, 0.1]), output([0.1, 0.9]))!;
    expect(swapped.measured).toBeGreaterThan(1);
    expect(swapped.limit).toBe(0.5);
    // Rows that add up to 1 are probabilities without an activation in the graph.
    const even = output(Array.from({ length: 100 }, () => 0.01));
    const uneven = output(Array.from({ length: 100 }, (_, index) => (index % 2 ? 0.002 : 0.018)));
    expect(change(uneven, even)!.limit).toBeGreaterThan(1);
    expect(change(output(uneven.values.map((value) => value / 2) as unknown as number[]), even)!.limit).toBe(0.5);
  });

  test('of whole numbers is the share that is no longer the same', () => {
    const whole = (...values: number[]) => output(values, 'int64');
    expect(change(whole(1, 9, 3, 20), whole(1, 9, 7, 2))).toMatchObject({ measured: 0.5, limit: 0.25, unit: 'share of values' });
    expect(change(whole(1, 9, 3, 20), whole(1, 9, 3, 20))).toMatchObject({ measured: 0 });
    expect(change(output([1, 0, 1, 0], 'bool'), output([1, 0, 1, 1], 'bool'))).toMatchObject({ measured: 0.25 });
  });

  test('of codes is their distance', () => {
    const codes = ordinary.map((value) => Math.round(128 + 100 * value));
    const next = codes.map((code, index) => code + (index % 2 ? 1 : -1));
    const { measured, unit } = change(output(codes, 'uint8'), output(next, 'uint8'))!;
    expect(unit).toBe('relative');
    // The deviation of 100 sines is 71.
    expect(measured).toBeCloseTo(1 / 71, 3);
    const others = codes.map((code) => 255 - code);
    expect(change(output(codes, 'uint8'), output(others, 'uint8'))!.measured).toBeGreaterThan(0.9);
  });

  test('is unknown where outputs show nothing', () => {
    for (const values of [[NaN, NaN], [0, 0, 0], [-Infinity, Infinity], []]) {
      const { change: unknown, notes } = changeOf([output(values)], [output(values)]);
      expect(unknown).toBeUndefined();
      expect(notes).toHaveLength(1);
    }
    expect(change(output([NaN, NaN]), output([1, 2]))).toMatchObject({ measured: 1 });
    expect(change(output([0, 0]), output([0, 1]))).toMatchObject({ measured: 1 });
    // Beside one that shows something it does not count.
    const { change: known, notes } = changeOf([output([NaN, NaN]), output([1, 2])], [output([NaN, NaN]), output([1, 2])]);
    expect(known).toMatchObject({ measured: 0 });
    expect(notes).toHaveLength(1);
  });

  test('decides between passed and changed', () => {
    const passed = { name: 'bytes', passed: true, measured: 0, limit: 0, unit: 'mismatches' };
    expect(verdictFor([passed], undefined)).toBe('passed');
    expect(verdictFor([passed], outputChange('outputs', 0.07))).toBe('passed');
    expect(verdictFor([passed], outputChange('outputs', 1))).toBe('changed');
    expect(verdictFor([passed], outputChange('outputs', NaN))).toBe('changed');
    expect(verdictFor([{ ...passed, passed: false }], outputChange('outputs', 1))).toBe('failed');
  });
});

test('the typical size of normal numbers is about their deviation, with or without a mask', () => {
  // Quantiles of the normal distribution, by a sum of uniforms: 12 of them have deviation 1.
  let state = 1;
  const uniform = () => (state = (state * 16807) % 2147483647) / 2147483647;
  const normal = Float32Array.from({ length: 5000 }, () => Array.from({ length: 12 }, uniform).reduce((sum, value) => sum + value, -6));
  expect(typicalSize(normal)).toBeGreaterThan(1);
  expect(typicalSize(normal)).toBeLessThan(1.6);
  expect(typicalSize(normal.map((value, index) => (index % 3 === 0 ? -1e9 : value)))).toBeLessThan(3);
});

test('the divergence of rows with impossible classes is finite, and 0 where nothing differs', () => {
  const row = Float32Array.of(1, 2, -Infinity);
  expect(meanDivergence(row, row, 3)).toBe(0);
  expect(meanDivergence(Float32Array.of(NaN, 1, 2), Float32Array.of(NaN, 1, 2), 3)).toBe(0);
  // p = (0.2689, 0.7311), q reversed: sum p log(p / q) = (0.7311 - 0.2689) * 1 nat.
  expect(meanDivergence(row, Float32Array.of(2, 1, -Infinity), 3)).toBeCloseTo(0.46212, 4);
});
