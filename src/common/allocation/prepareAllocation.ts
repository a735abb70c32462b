import { fallingOrder } from './fallingOrder';
import { flatOptions, type FlatOptions } from './flatOptions';
import { lowerHull } from './hull';
import { refine } from './refine';
import type { Allocation, AllocationItem, AllocationOption, AllocationPins, ParetoPoint } from './types';

/** Items prepared for many budgets: changing the budget then costs one pass over the sorted steps. */
export interface PreparedAllocation {
  readonly items: readonly AllocationItem[];
  /** Number of weights of all items. */
  readonly weights: number;
  /** The choice with the least loss found within the budget (total bits). */
  at(budgetBits: number, pins?: AllocationPins): Allocation;
  /** Corners of the best trade-off between size and loss, from the smallest size to the least loss: at most `points` (default 200), evenly spaced in size. */
  curve(points?: number, pins?: AllocationPins): ParetoPoint[];
}

/** Upgrade steps of all items along their hulls, best gain per bit first. */
interface Steps {
  readonly item: Uint32Array;
  /** Option that the step leads to. */
  readonly option: Uint32Array;
  readonly bits: Float64Array;
  /** Reduction of the loss, positive. */
  readonly gain: Float64Array;
  /** Fewest bits of this step and all after it. */
  readonly leastBits: Float64Array;
}

/** From this number of items on, one choice is made in advance, so that the first one a user waits for runs compiled code. */
const manyItems = 1000;

const noPins: AllocationPins = new Map();

/**
 * Chooses one option per item so that the stored bits stay within a budget and the sum of the losses is small: the multiple-choice knapsack
 * problem.
 *
 * Each item's options are reduced to their lower convex hull; the steps along the hulls, sorted by loss gained per bit, give every corner of the
 * Lagrangian relaxation (Shoham and Gersho 1988). Within a budget, the longest prefix of steps that fits is taken; the remaining bits are spent on
 * later steps that still fit, and then by an exact search over the items whose choice is uncertain (refine.ts).
 *
 * Ties go to the first item. The result depends only on the arguments. Throws RangeError for an item without options, numbers that are not finite,
 * negative bits, and pins to items or options that do not exist.
 */
export function prepareAllocation(items: readonly AllocationItem[]): PreparedAllocation {
  checkItems(items);
  const hulls = items.map(({ options }) => lowerHull(options));
  const steps = sortedSteps(items, hulls);
  const weights = items.reduce((sum, item) => sum + item.weights, 0);
  const flat = flatOptions(items);
  const smallest = Int32Array.from(hulls, (hull) => hull[0] as number);
  const largest = Int32Array.from(hulls, (hull) => hull[hull.length - 1] as number);
  const mostBits = totals(flat, [...largest]).storedBits;

  const start = (pins: AllocationPins): { chosen: number[]; bits: number; loss: number } => {
    const chosen = Array.from(smallest);
    for (const [item, option] of pins) chosen[item] = option;
    const { storedBits: bits, loss } = totals(flat, chosen);
    return { chosen, bits, loss };
  };

  const at = (budgetBits: number, pins: AllocationPins = noPins): Allocation => {
    checkPins(items, pins);
    const { chosen, bits: smallestBits } = start(pins);
    let bits = smallestBits;
    let largestBits = mostBits;
    for (const [item, option] of pins) {
      const place = flat.starts[item] as number;
      largestBits += (flat.bits[place + option] as number) - (flat.bits[place + (largest[item] as number)] as number);
    }
    // Items with a step that did not fit: their later steps depend on it.
    const closed = new Uint8Array(items.length);
    for (const item of pins.keys()) closed[item] = 2;
    // Loss gained per bit by the first step that did not fit: the price of a bit.
    let price: number | undefined;
    for (let step = 0; step < steps.item.length; step += 1) {
      const item = steps.item[step] as number;
      if (closed[item] === 2) continue;
      if (closed[item] === 1) continue;
      if (price !== undefined && bits + (steps.leastBits[step] as number) > budgetBits) break;
      const cost = steps.bits[step] as number;
      if (bits + cost <= budgetBits) {
        bits += cost;
        chosen[item] = steps.option[step] as number;
      } else {
        closed[item] = 1;
        price ??= (steps.gain[step] as number) / cost;
      }
    }
    const met = smallestBits <= budgetBits;
    if (met && price !== undefined) refine(items, flat, chosen, budgetBits, price, pins);
    return { chosen, ...totals(flat, chosen), met, smallestBits, largestBits };
  };

  const curve = (points = 200, pins: AllocationPins = noPins): ParetoPoint[] => {
    checkPins(items, pins);
    let { bits, loss } = start(pins);
    const corners: { bits: number; loss: number }[] = [{ bits, loss }];
    for (let step = 0; step < steps.item.length; step += 1) {
      if (pins.has(steps.item[step] as number)) continue;
      bits += steps.bits[step] as number;
      loss -= steps.gain[step] as number;
      corners.push({ bits, loss });
    }
    return thinned(corners, points).map((corner) => ({
      bitsPerWeight: weights === 0 ? 0 : corner.bits / weights,
      loss: corner.loss,
      measured: false,
    }));
  };

  if (items.length >= manyItems) for (const share of [0.25, 0.5, 0.75]) at(share * mostBits);
  return { items, weights, at, curve };
}

function totals({ starts, bits, loss }: FlatOptions, chosen: readonly number[]): { storedBits: number; loss: number } {
  let [allBits, allLoss] = [0, 0];
  for (let item = 0; item < chosen.length; item += 1) {
    const place = (starts[item] as number) + (chosen[item] as number);
    allBits += bits[place] as number;
    allLoss += loss[place] as number;
  }
  return { storedBits: allBits, loss: allLoss };
}

function sortedSteps(items: readonly AllocationItem[], hulls: readonly (readonly number[])[]): Steps {
  const count = hulls.reduce((sum, hull) => sum + hull.length - 1, 0);
  const unsorted = {
    item: new Uint32Array(count),
    option: new Uint32Array(count),
    bits: new Float64Array(count),
    gain: new Float64Array(count),
  };
  const slope = new Float64Array(count);
  let next = 0;
  hulls.forEach((hull, item) => {
    const { options } = items[item] as AllocationItem;
    for (let step = 1; step < hull.length; step += 1) {
      const from = options[hull[step - 1] as number] as AllocationOption;
      const to = options[hull[step] as number] as AllocationOption;
      unsorted.item[next] = item;
      unsorted.option[next] = hull[step] as number;
      unsorted.bits[next] = to.storedBits - from.storedBits;
      unsorted.gain[next] = from.loss - to.loss;
      slope[next] = (unsorted.gain[next] as number) / (unsorted.bits[next] as number);
      next += 1;
    }
  });
  // Steps of an item are inserted in order, so that ties keep it.
  const order = fallingOrder(slope);
  const sorted = {
    item: new Uint32Array(count),
    option: new Uint32Array(count),
    bits: new Float64Array(count),
    gain: new Float64Array(count),
  };
  order.forEach((from, to) => {
    sorted.item[to] = unsorted.item[from] as number;
    sorted.option[to] = unsorted.option[from] as number;
    sorted.bits[to] = unsorted.bits[from] as number;
    sorted.gain[to] = unsorted.gain[from] as number;
  });
  const leastBits = new Float64Array(count);
  for (let step = count - 1, least = Infinity; step >= 0; step -= 1) leastBits[step] = least = Math.min(least, sorted.bits[step] as number);
  return { ...sorted, leastBits };
}

/** At most `points` corners: the first, the last, and between them the corners nearest below evenly spaced numbers of bits. */
function thinned<Corner extends { readonly bits: number }>(corners: readonly Corner[], points: number): Corner[] {
  if (corners.length <= points) return [...corners];
  const [first, last] = [corners[0] as Corner, corners[corners.length - 1] as Corner];
  if (points < 2) return [first];
  const kept = [first];
  let index = 0;
  for (let point = 1; point < points - 1; point += 1) {
    const target = first.bits + ((last.bits - first.bits) * point) / (points - 1);
    const before = index;
    while ((corners[index + 1] as Corner).bits <= target) index += 1;
    if (index > before) kept.push(corners[index] as Corner);
  }
  if (kept[kept.length - 1] !== last) kept.push(last);
  return kept;
}

function checkItems(items: readonly AllocationItem[]): void {
  for (const { tensor, options } of items) {
    if (options.length === 0) throw new RangeError(`An item of '${tensor}' has no options. Every item needs at least one.`);
    for (const { bits, storedBits, loss } of options)
      if (!Number.isFinite(storedBits) || storedBits < 0 || !Number.isFinite(loss))
        throw new RangeError(
          `An item of '${tensor}' has an option of ${bits} bits with ${storedBits} stored bits and a loss of ${loss}; both must be finite, and bits must be at least 0.`,
        );
  }
}

function checkPins(items: readonly AllocationItem[], pins: AllocationPins): void {
  for (const [item, option] of pins)
    if (items[item]?.options[option] === undefined)
      throw new RangeError(`A pin sets option ${option} of item ${item}, which does not exist.`);
}
