import type { AllocationPins } from '../../../src/common/allocation/types';
import type { PreparedAllocation } from '../../../src/common/allocation/prepareAllocation';
import { prepareAllocation } from '../../../src/common/allocation/prepareAllocation';
import type { AllocationItem, AllocationReport, BitHistogram, ParetoPoint } from '../../../src/protocol/report';

/** Widths that the user has pinned, by tensor. */
export type WidthPins = ReadonlyMap<string, number>;

/** The outcome for one tensor. */
export interface TensorWidths {
  readonly name: string;
  readonly weights: number;
  /** Mean over the weights. */
  readonly bits: number;
  readonly histogram: BitHistogram;
  readonly storedBits: number;
  readonly loss: number;
}

/** The outcome of a budget. Bits per weight cover all weights of all items, including side information. */
export interface BudgetOutcome {
  readonly bitsPerWeight: number;
  readonly storedBits: number;
  readonly loss: number;
  /** False if the pins alone need more than the budget. */
  readonly met: boolean;
  /** The smallest budget that can be met, and the one above which nothing changes. */
  readonly smallest: number;
  readonly largest: number;
  readonly tensors: ReadonlyMap<string, TensorWidths>;
}

/**
 * The options behind a result, ready to be chosen again for another budget and other pins. A pin applies to all items of its tensor; an
 * item without that width gets the nearest one that it has.
 */
export class BudgetModel {
  /** Tensors in the order of the items, each with the indices of its items. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
  readonly weights: number;
  private readonly items: readonly AllocationItem[];
  private readonly all: PreparedAllocation;
  private pinned: WidthPins = new Map();
  /** Items restricted to the pinned widths, and the indices of their options in the full list; absent if pins alone express it. */
  private cut: { readonly prepared: PreparedAllocation; readonly places: ReadonlyMap<number, readonly number[]> } | undefined;
  private pins: AllocationPins = new Map();

  constructor(private readonly report: AllocationReport) {
    this.items = report.items;
    const tensors = new Map<string, number[]>();
    this.items.forEach(({ tensor }, item) => {
      const places = tensors.get(tensor);
      if (places) places.push(item);
      else tensors.set(tensor, [item]);
    });
    this.tensors = tensors;
    this.all = prepareAllocation(this.items);
    this.weights = this.all.weights;
  }

  /** Widths that any item of a tensor has, ascending: those it can be pinned at; 16 leaves it unquantised. */
  widthsOf(tensor: string): readonly number[] {
    const widths = new Set<number>();
    for (const item of this.tensors.get(tensor) ?? []) for (const { bits } of this.item(item).options) widths.add(bits);
    return [...widths].sort((a, b) => a - b);
  }

  /** Pins widths. Unknown tensors are ignored. */
  setPins(pins: WidthPins): void {
    this.pinned = new Map([...pins].filter(([tensor]) => this.tensors.has(tensor)));
    const allowed = new Map<number, readonly number[]>();
    for (const [tensor, width] of this.pinned)
      for (const item of this.tensors.get(tensor) ?? []) allowed.set(item, optionsOfWidth(this.item(item), width));
    const single = [...allowed.values()].every((options) => options.length === 1);
    this.pins = single ? new Map([...allowed].map(([item, options]) => [item, options[0] as number])) : new Map();
    if (single) {
      this.cut = undefined;
      return;
    }
    // Several options of one width (group sizes) still leave a choice: restrict the items to them and prepare again.
    const items = this.items.map((item, place) => {
      const options = allowed.get(place);
      return options ? { ...item, options: options.map((option) => item.options[option] as AllocationItem['options'][number]) } : item;
    });
    this.cut = { prepared: prepareAllocation(items), places: allowed };
  }

  /** The outcome of a budget in bits per weight under the pins. */
  at(budget: number): BudgetOutcome {
    const { prepared, places } = this.cut ?? { prepared: this.all, places: undefined };
    // Slightly more than requested: a budget that equals a size to the last digit shown must allow it.
    const result = prepared.at(budget * this.weights * (1 + 1e-9), this.pins);
    const chosen = places ? result.chosen.map((option, item) => places.get(item)?.[option] ?? option) : result.chosen;
    return {
      ...this.outcome(chosen),
      met: result.met,
      smallest: result.smallestBits / this.weights,
      largest: result.largestBits / this.weights,
    };
  }

  /** The result as the report has it. */
  asMade(): Pick<BudgetOutcome, 'bitsPerWeight' | 'storedBits' | 'loss' | 'tensors'> {
    return this.outcome(this.report.chosen);
  }

  /** The best trade-off between size and loss under the pins, and the measured points. */
  curve(): { readonly predicted: readonly ParetoPoint[]; readonly measured: readonly ParetoPoint[] } {
    return {
      predicted: (this.cut?.prepared ?? this.all).curve(200, this.pins),
      measured: this.report.curve.filter(({ measured }) => measured),
    };
  }

  private outcome(chosen: readonly number[]): Pick<BudgetOutcome, 'bitsPerWeight' | 'storedBits' | 'loss' | 'tensors'> {
    const tensors = new Map<string, TensorWidths>();
    let [allBits, allLoss] = [0, 0];
    for (const [name, places] of this.tensors) {
      const counts = new Map<number, number>();
      let [weights, weighted, storedBits, loss] = [0, 0, 0, 0];
      for (const place of places) {
        const item = this.item(place);
        const option = item.options[chosen[place] as number];
        if (!option) continue;
        counts.set(option.bits, (counts.get(option.bits) ?? 0) + item.weights);
        weights += item.weights;
        weighted += option.bits * item.weights;
        storedBits += option.storedBits;
        loss += option.loss;
      }
      const bits = [...counts.keys()].sort((a, b) => a - b);
      const histogram = { bits, weights: bits.map((width) => counts.get(width) as number) };
      tensors.set(name, { name, weights, bits: weights === 0 ? 0 : weighted / weights, histogram, storedBits, loss });
      allBits += storedBits;
      allLoss += loss;
    }
    return { bitsPerWeight: this.weights === 0 ? 0 : allBits / this.weights, storedBits: allBits, loss: allLoss, tensors };
  }

  private item(place: number): AllocationItem {
    return this.items[place] as AllocationItem;
  }
}

/** Options of the width, or of the nearest one that the item has; the larger of two equally near ones. */
function optionsOfWidth({ options }: AllocationItem, width: number): readonly number[] {
  let nearest = Infinity;
  let found = width;
  for (const { bits } of options) {
    const distance = Math.abs(bits - width);
    if (distance < nearest || (distance === nearest && bits > found)) [nearest, found] = [distance, bits];
  }
  return options.flatMap(({ bits }, option) => (bits === found ? [option] : []));
}
