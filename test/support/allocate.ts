import { prepareAllocation } from '../../src/common/allocation/prepareAllocation';
import type { Allocation, AllocationItem, AllocationPins, ParetoPoint } from '../../src/common/allocation/types';

/** Chooses an option for each item within `budgetBits` stored bits in all. For many budgets over the same items use prepareAllocation. */
export function allocate(items: readonly AllocationItem[], budgetBits: number, pins?: AllocationPins): Allocation {
  return prepareAllocation(items).at(budgetBits, pins);
}

/** The best trade between size and loss, from the smallest size to the least loss: rising bits per weight, falling loss. */
export function paretoCurve(items: readonly AllocationItem[], pins?: AllocationPins, points?: number): ParetoPoint[] {
  return prepareAllocation(items).curve(points, pins);
}
