import { describe, expect, test } from 'vitest';
import { allocate, paretoCurve } from '../../../support/allocate';
import { prepareAllocation } from '../../../../src/common/allocation/prepareAllocation';
import type { AllocationItem, AllocationPins } from '../../../../src/common/allocation/types';
import { SeededRandom } from '../../../../src/common/random';

/** Items as they come from weights: losses that fall by about four for every bit, with noise; some options that no choice should take. */
function randomItems(random: SeededRandom, count: number, options: number): AllocationItem[] {
  return Array.from({ length: count }, (_, item) => {
    const weights = 1 + Math.floor(random.next() * 40);
    const weight = 10 ** (random.next() * 3 - 2);
    return {
      tensor: `t${item}`,
      weights,
      options: Array.from({ length: options }, (_, bits) => ({
        bits,
        storedBits: weights * bits + Math.floor(random.next() * 6),
        loss: weight * weights * 4 ** -bits * (0.5 + random.next()),
      })),
    };
  });
}

/** The least loss within the budget, by trying every choice. */
function exhaustive(items: readonly AllocationItem[], budget: number, pins?: AllocationPins): number {
  let best = Infinity;
  const visit = (item: number, bits: number, loss: number): void => {
    if (bits > budget) return;
    const current = items[item];
    if (current === undefined) best = Math.min(best, loss);
    else
      current.options.forEach((option, index) => {
        if ((pins?.get(item) ?? index) === index) visit(item + 1, bits + option.storedBits, loss + option.loss);
      });
  };
  visit(0, 0, 0);
  return best;
}

const sumOf = (items: readonly AllocationItem[], chosen: readonly number[], key: 'storedBits' | 'loss'): number =>
  chosen.reduce((sum, option, item) => sum + items[item]!.options[option]![key], 0);

describe('allocate', () => {
  test('matches an exhaustive search in 300 small cases', () => {
    const random = new SeededRandom(11);
    let exact = 0;
    let worst = 1;
    for (let trial = 0; trial < 300; trial += 1) {
      const items = randomItems(random, 2 + (trial % 5), 2 + (trial % 4));
      const { smallestBits, largestBits } = allocate(items, 0);
      const budget = smallestBits + Math.floor(random.next() * (largestBits - smallestBits + 4));
      const pins: AllocationPins = trial % 3 === 0 ? new Map([[0, 0]]) : new Map();
      const result = allocate(items, Math.max(budget, allocate(items, 0, pins).smallestBits), pins);
      const best = exhaustive(items, Math.max(budget, result.smallestBits), pins);
      expect(result.met).toBe(true);
      expect(result.storedBits).toBeLessThanOrEqual(Math.max(budget, result.smallestBits));
      expect(result.loss).toBeCloseTo(sumOf(items, result.chosen, 'loss'), 12);
      if (pins.size > 0) expect(result.chosen[0]).toBe(0);
      worst = Math.max(worst, result.loss / best);
      if (result.loss <= best * (1 + 1e-12)) exact += 1;
    }
    expect(exact).toBeGreaterThanOrEqual(299);
    expect(worst).toBeLessThanOrEqual(1.001);
  });

  test('is within 0.1 % of the bound of the relaxation for many items', () => {
    const items = randomItems(new SeededRandom(5), 2000, 9);
    const prepared = prepareAllocation(items);
    const { smallestBits, largestBits } = prepared.at(0);
    for (const share of [0.1, 0.3, 0.5, 0.8]) {
      const budget = Math.floor(smallestBits + share * (largestBits - smallestBits));
      const { loss, storedBits } = prepared.at(budget);
      expect(storedBits).toBeLessThanOrEqual(budget);
      // Any price of a bit gives a lower bound of the least loss; the largest over many prices is near the best bound.
      let bound = -Infinity;
      for (let exponent = -12; exponent < 4; exponent += 0.03) {
        const price = 10 ** exponent;
        const value = items.reduce(
          (sum, { options }) => sum + Math.min(...options.map((o) => o.loss + price * o.storedBits)),
          -price * budget,
        );
        bound = Math.max(bound, value);
      }
      expect(loss).toBeGreaterThanOrEqual(bound - 1e-9);
      expect(loss).toBeLessThanOrEqual(bound * 1.001);
    }
  });

  test('a larger budget never predicts a greater loss', () => {
    const items = randomItems(new SeededRandom(3), 60, 9);
    const prepared = prepareAllocation(items);
    const { smallestBits, largestBits } = prepared.at(0);
    let before = Infinity;
    for (let step = 0; step <= 200; step += 1) {
      const { loss } = prepared.at(smallestBits + ((largestBits - smallestBits) * step) / 200);
      expect(loss).toBeLessThanOrEqual(before * (1 + 1e-3));
      before = loss;
    }
    expect(before).toBe(sumOf(items, prepared.at(Infinity).chosen, 'loss'));
  });

  test('reports a budget that cannot be met and the smallest that can', () => {
    const items = randomItems(new SeededRandom(2), 5, 4);
    const result = allocate(items, 0);
    const smallest = items.reduce((sum, { options }) => sum + Math.min(...options.map((option) => option.storedBits)), 0);
    if (smallest > 0) expect(result.met).toBe(false);
    expect(result.smallestBits).toBe(smallest);
    expect(allocate(items, smallest)).toMatchObject({ met: true, storedBits: smallest });
    expect(allocate(items, smallest - 1)).toMatchObject({ met: false, storedBits: smallest });
  });

  test('ties between equal items are broken deterministically, in their order', () => {
    const options = [
      { bits: 2, storedBits: 20, loss: 4 },
      { bits: 4, storedBits: 40, loss: 1 },
    ];
    const items = Array.from({ length: 6 }, (_, index) => ({ tensor: `t${index}`, weights: 10, options }));
    expect(allocate(items, 165).chosen).toEqual([1, 1, 0, 0, 0, 0]);
    expect(allocate(items, 165).chosen).toEqual(allocate(items, 165).chosen);
  });

  test('an option off the hull is chosen if only it fits', () => {
    const item = {
      tensor: 't',
      weights: 10,
      options: [
        { bits: 0, storedBits: 0, loss: 10 },
        { bits: 2, storedBits: 20, loss: 8 },
        { bits: 4, storedBits: 40, loss: 0 },
      ],
    };
    expect(allocate([item], 39).chosen).toEqual([1]);
    expect(allocate([item], 40).chosen).toEqual([2]);
  });

  test('a pin applies at any budget, and counts', () => {
    const items = randomItems(new SeededRandom(8), 20, 9);
    const pins = new Map([[4, 8]]);
    const result = allocate(items, 0, pins);
    expect(result.met).toBe(false);
    expect(result.chosen[4]).toBe(8);
    expect(result.smallestBits).toBe(
      items.reduce(
        (sum, { options }, item) => sum + (pins.has(item) ? options[8]!.storedBits : Math.min(...options.map((o) => o.storedBits))),
        0,
      ),
    );
  });

  test.each([
    [[{ tensor: 'a', weights: 1, options: [] }], undefined, /no options/],
    [[{ tensor: 'a', weights: 1, options: [{ bits: 1, storedBits: 1, loss: NaN }] }], undefined, /finite/],
    [[{ tensor: 'a', weights: 1, options: [{ bits: 1, storedBits: -1, loss: 0 }] }], undefined, /finite/],
    [[{ tensor: 'a', weights: 1, options: [{ bits: 1, storedBits: 1, loss: 0 }] }], new Map([[0, 1]]), /does not exist/],
    [[], new Map([[0, 0]]), /does not exist/],
  ] as const)('refuses what it cannot choose from (%#)', (items, pins, message) => {
    expect(() => allocate(items, 1, pins)).toThrow(message);
  });

  test('an empty choice is not an error', () => {
    expect(allocate([], 0)).toEqual({ chosen: [], storedBits: 0, loss: 0, met: true, smallestBits: 0, largestBits: 0 });
    expect(paretoCurve([])).toEqual([{ bitsPerWeight: 0, loss: 0, measured: false }]);
  });
});

describe('paretoCurve', () => {
  test('rises in bits, falls in loss, is convex, and ends where everything has its least loss', () => {
    const items = randomItems(new SeededRandom(21), 300, 9);
    const curve = paretoCurve(items, new Map(), 100000);
    const weights = items.reduce((sum, item) => sum + item.weights, 0);
    let slope = Infinity;
    for (let index = 1; index < curve.length; index += 1) {
      const [before, point] = [curve[index - 1]!, curve[index]!];
      expect(point.bitsPerWeight).toBeGreaterThan(before.bitsPerWeight);
      expect(point.loss).toBeLessThan(before.loss);
      const next = (before.loss - point.loss) / (point.bitsPerWeight - before.bitsPerWeight);
      expect(next).toBeLessThanOrEqual(slope * (1 + 1e-6));
      slope = next;
    }
    const { smallestBits, largestBits } = allocate(items, 0);
    expect(curve[0]!.bitsPerWeight).toBeCloseTo(smallestBits / weights, 12);
    expect(curve[curve.length - 1]!.bitsPerWeight).toBeCloseTo(largestBits / weights, 12);
  });

  test('is thinned to the requested number of points, including the ends', () => {
    const items = randomItems(new SeededRandom(22), 500, 9);
    const [whole, thin] = [paretoCurve(items, new Map(), 1e9), paretoCurve(items, new Map(), 50)];
    expect(thin.length).toBeLessThanOrEqual(50);
    expect(thin.length).toBeGreaterThan(25);
    expect(thin[0]).toEqual(whole[0]);
    expect(thin[thin.length - 1]).toEqual(whole[whole.length - 1]);
  });
});
