import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { jittered, jitteredValues } from '../../../src/engine/outputs/verification/sampleFeeds';
import { propertySeed } from '../../support/propertySeed';

const count = 4096;
const ones = () => new Float32Array(count).fill(1);
const isUp = (values: ArrayLike<number>): readonly boolean[] => Array.from(values, (value) => value > 1);
/** Share of places where two tensors move the same way: a half where they are independent. */
const alike = (a: readonly boolean[], b: readonly boolean[]): number => a.filter((up, index) => up === b[index]).length / a.length;

test('no two tensors of a model move alike', () => {
  const feeds = Object.fromEntries(
    (['float32', 'float32', 'float64', 'float16'] as const).map((dtype, index) => [
      `t${index}`,
      {
        dtype,
        shape: [count],
        data: dtype === 'float32' ? ones() : dtype === 'float64' ? new Float64Array(count).fill(1) : new Uint16Array(count).fill(0x3c00),
      },
    ]),
  );
  const moved = Object.values(jittered(feeds, 7)).map(({ dtype, data }) =>
    dtype === 'float16' ? Array.from(data as Uint16Array, (code) => code > 0x3c00) : isUp(data as Float32Array),
  );
  for (const [index, ups] of moved.entries()) {
    expect(ups.filter(Boolean).length / count).toBeCloseTo(0.5, 1);
    // Four deviations of a fair coin.
    for (const other of moved.slice(index + 1)) expect(Math.abs(alike(ups, other) - 0.5)).toBeLessThan(4 * Math.sqrt(0.25 / count));
  }
  const random = new SeededRandom(7);
  const weights = [0, 1].map(() => isUp(jitteredValues(ones(), random)));
  expect(Math.abs(alike(weights[0]!, weights[1]!) - 0.5)).toBeLessThan(4 * Math.sqrt(0.25 / count));
});

test('float16 numbers become a neighbour, above or below; zeros and infinities stay', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 1, maxLength: 64 }), fc.integer(), (codes, seed) => {
      const data = Uint16Array.from(codes);
      const moved = jittered({ x: { dtype: 'float16', shape: [data.length], data } }, seed)['x']!.data as Uint16Array;
      for (const [index, code] of codes.entries()) {
        const magnitude = code & 0x7fff;
        const steps = (moved[index]! & 0x7fff) - magnitude;
        expect(moved[index]! >> 15).toBe(code >> 15);
        expect(magnitude === 0 || magnitude >= 0x7bff ? [0] : [-1, 1]).toContain(steps);
      }
    }),
    { seed: propertySeed },
  );
});
