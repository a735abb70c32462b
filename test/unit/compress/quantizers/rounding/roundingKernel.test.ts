import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RoundingKernel, weightsAtOnce } from '../../../../../src/engine/compress/quantizers/rounding/roundingKernel';
import { propertySeed } from '../../../../support/propertySeed';
import { roundHalfToEven } from '../../../../support/roundHalfToEven';

const bitsOf = (value: number): number => new Int32Array(new Float32Array([value]).buffer)[0]!;

/** Finite float32 values of every magnitude: bits at random, and the values at the ends and halfway between levels. */
const weights = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -600, max: 600 }).map((halves) => halves / 2),
  fc.constantFrom(0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 3.4028234663852886e38, -3.4028234663852886e38),
);
const groups = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 })).chain(([blocks, count]) =>
  fc.record({
    size: fc.constant(blocks * weightsAtOnce),
    values: fc.array(weights, { minLength: blocks * weightsAtOnce * count, maxLength: blocks * weightsAtOnce * count }),
    scales: fc.array(fc.oneof(fc.constant(1), fc.float({ min: Math.fround(2 ** -149), max: 65504, noNaN: true })), {
      minLength: count,
      maxLength: count,
    }),
    zeros: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: count, maxLength: count }),
    bits: fc.integer({ min: 1, max: 8 }),
  }),
);

test('codes, sums of errors and ranges have the bits of plain loops over numbers', () => {
  const kernel = RoundingKernel.create();
  fc.assert(
    fc.property(groups, fc.nat(5), ({ size, values, scales, zeros, bits }, skipped) => {
      const count = scales.length;
      const top = 2 ** bits - 1;
      kernel.reserve(values.length + skipped, values.length, count);
      kernel.values.set(values, skipped);
      kernel.scales.set(scales);
      kernel.zeros.set(zeros);
      kernel.sums.set([0.25, 0.5]);
      kernel.range(skipped, size, count);
      kernel.round(skipped, size, count, 0, top);
      let [error, norm] = [0.25, 0.5];
      for (let group = 0; group < count; group += 1) {
        const members = Float32Array.from(values.slice(group * size, (group + 1) * size));
        const [scale, zero] = [kernel.scales[group]!, zeros[group]!];
        expect(kernel.rangeBits[2 * group]).toBe(bitsOf(Math.max(0, ...members)) & 0x7fffffff);
        expect(kernel.rangeBits[2 * group + 1]).toBe(bitsOf(Math.max(0, ...members.map((weight) => -weight))) & 0x7fffffff);
        members.forEach((weight, index) => {
          const code = Math.min(top, Math.max(0, roundHalfToEven(Math.fround(weight / scale)) + zero));
          expect(kernel.codes[group * size + index], `weight ${weight}, scale ${scale}, zero ${zero}`).toBe(code);
          const difference = (code - zero) * scale - weight;
          error += difference * difference;
          norm += weight * weight;
        });
      }
      expect([...kernel.sums]).toEqual([error, norm]);
    }),
    { seed: propertySeed, numRuns: 500 },
  );
});

test('weights that are not finite show in the ranges', () => {
  const kernel = RoundingKernel.create();
  kernel.reserve(weightsAtOnce, weightsAtOnce, 1);
  for (const [value, place] of [
    [NaN, 0],
    [Infinity, 0],
    [-Infinity, 1],
  ] as const)
    for (let index = 0; index < weightsAtOnce; index += 1) {
      kernel.values.fill(-0.5).fill(0.5, 0, 3);
      kernel.values[index] = value;
      kernel.range(0, weightsAtOnce, 1);
      expect(kernel.rangeBits[place]).toBeGreaterThanOrEqual(0x7f800000);
    }
});

test('room for a longer row keeps the kernel usable', () => {
  const kernel = RoundingKernel.create();
  for (const length of [16, 65_536, 32, 1_000_000]) {
    kernel.reserve(length, length, length / 16);
    expect(kernel.values.length).toBe(length);
    kernel.values.fill(1);
    kernel.scales.fill(0.5);
    kernel.zeros.fill(3);
    kernel.sums.fill(0);
    kernel.range(0, 16, length / 16);
    kernel.round(0, 16, length / 16, 0, 255);
    expect(kernel.ranges[2 * (length / 16) - 2]).toBe(1);
    expect(kernel.codes.every((code) => code === 5)).toBe(true);
    expect([...kernel.sums]).toEqual([0, length]);
  }
});
