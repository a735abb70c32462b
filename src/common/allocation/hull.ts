import type { AllocationOption } from './types';

/**
 * The lower convex hull of an item's options over stored bits: indices in ascending order of bits and descending order of loss, each step gaining
 * less per bit than the one before. Starts at the fewest bits and ends at the least loss. Of options with equal bits, the one with the least loss is
 * kept; of equal options, the first.
 */
export function lowerHull(options: readonly AllocationOption[]): number[] {
  const at = (index: number): AllocationOption => options[index] as AllocationOption;
  const order = inOrder(options);
  const hull: number[] = [];
  for (const candidate of order) {
    const { storedBits, loss } = at(candidate);
    const last = hull[hull.length - 1];
    if (last !== undefined && loss >= at(last).loss) continue;
    while (hull.length > 1) {
      const middle = at(hull[hull.length - 1] as number);
      const before = at(hull[hull.length - 2] as number);
      // Keep the middle option if the step to it gains more per bit than the step beyond it.
      if ((before.loss - middle.loss) * (storedBits - middle.storedBits) > (middle.loss - loss) * (middle.storedBits - before.storedBits))
        break;
      hull.pop();
    }
    hull.push(candidate);
  }
  return hull;
}

/** Options that no other option beats in both bits and loss, in ascending order of bits. */
export function efficientOptions(options: readonly AllocationOption[]): number[] {
  const at = (index: number): AllocationOption => options[index] as AllocationOption;
  const order = inOrder(options);
  const kept: number[] = [];
  for (const candidate of order) {
    const last = kept[kept.length - 1];
    if (last === undefined || at(candidate).loss < at(last).loss) kept.push(candidate);
  }
  return kept;
}

/** Indices in ascending order of bits; of equal bits, the least loss first. Options usually come in that order already, which avoids sorting thousands of items. */
function inOrder(options: readonly AllocationOption[]): number[] {
  const before = (a: AllocationOption, b: AllocationOption): number => a.storedBits - b.storedBits || a.loss - b.loss;
  const order: number[] = [];
  let sorted = true;
  for (let index = 0; index < options.length; index += 1) {
    order.push(index);
    if (index > 0 && before(options[index - 1] as AllocationOption, options[index] as AllocationOption) > 0) sorted = false;
  }
  return sorted ? order : order.sort((a, b) => before(options[a] as AllocationOption, options[b] as AllocationOption) || a - b);
}
