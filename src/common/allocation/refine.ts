import { efficientOptions } from './hull';
import type { AllocationItem, AllocationOption, AllocationPins } from './types';

/** Items whose choice is searched, and partial choices kept after each of them. Both bound the time of a move of the budget. */
const coreItems = 32;
const keptStates = 128;

interface Choice {
  readonly option: number;
  readonly bits: number;
  readonly loss: number;
  /** What the choice costs over the item's best one when a bit has its price: loss + price * bits, less the least of the item. */
  readonly excess: number;
}

interface State {
  readonly bits: number;
  readonly loss: number;
  readonly excess: number;
  readonly choice: number;
  readonly before: State | undefined;
}

/**
 * Improves a choice that meets the budget, in place. At a price of a bit each item has a best option; the sum of these bounds from below the loss of
 * every choice within the budget, and a choice whose excesses add up to more than the gap between that bound and the best known loss cannot be
 * better. Only items with a second option below the gap are in doubt. They are searched one after the other, keeping partial choices that no other
 * beats in bits and loss: exact as long as neither limit (items, kept partial choices) is reached, else a beam search. The better result stays.
 */
export function refine(items: readonly AllocationItem[], chosen: number[], budgetBits: number, price: number, pins: AllocationPins): void {
  let [bound, known] = [-price * budgetBits, 0];
  const leastOf = new Float64Array(items.length);
  items.forEach(({ options }, item) => {
    const current = options[chosen[item] as number] as AllocationOption;
    known += current.loss;
    const pinned = pins.has(item);
    let least = pinned ? current.loss + price * current.storedBits : Infinity;
    if (!pinned) for (const { loss, storedBits } of options) least = Math.min(least, loss + price * storedBits);
    leastOf[item] = least;
    bound += least;
  });
  const gap = known - bound;
  if (!(gap > 0)) return;
  const core = itemsInDoubt(items, chosen, leastOf, price, gap, pins);
  if (core.length === 0) return;

  // What the items outside the core keep is fixed.
  const inCore = new Set(core.map(({ item }) => item));
  let [fixedBits, fixedLoss, fixedExcess] = [0, 0, 0];
  items.forEach(({ options }, item) => {
    if (inCore.has(item)) return;
    const { storedBits, loss } = options[chosen[item] as number] as AllocationOption;
    fixedBits += storedBits;
    fixedLoss += loss;
    fixedExcess += loss + price * storedBits - (leastOf[item] as number);
  });
  let smallestRest = core.reduce((sum, { choices }) => sum + Math.min(...choices.map(({ bits }) => bits)), 0);
  let states: State[] = [{ bits: fixedBits, loss: fixedLoss, excess: fixedExcess, choice: 0, before: undefined }];
  for (const { choices } of core) {
    smallestRest -= Math.min(...choices.map(({ bits }) => bits));
    const next: State[] = [];
    for (const before of states)
      choices.forEach(({ bits, loss, excess }, choice) => {
        const state = { bits: before.bits + bits, loss: before.loss + loss, excess: before.excess + excess, choice, before };
        if (state.bits + smallestRest <= budgetBits && state.excess < gap) next.push(state);
      });
    states = strongest(next);
  }
  let best: State | undefined;
  for (const state of states) if (state.loss < (best?.loss ?? known)) best = state;
  for (let index = core.length - 1; best?.before !== undefined; index -= 1) {
    const { item, choices } = core[index] as CoreItem;
    chosen[item] = (choices[best.choice] as Choice).option;
    best = best.before;
  }
}

interface CoreItem {
  readonly item: number;
  readonly choices: readonly Choice[];
}

/** Items that have more than one option with an excess below the gap, or whose option is not their best: the most doubtful first. */
function itemsInDoubt(
  items: readonly AllocationItem[],
  chosen: readonly number[],
  leastOf: Float64Array,
  price: number,
  gap: number,
  pins: AllocationPins,
): CoreItem[] {
  const doubts: { readonly item: number; readonly second: number }[] = [];
  items.forEach(({ options }, item) => {
    if (options.length < 2 || pins.has(item)) return;
    const least = leastOf[item] as number;
    let [first, second] = [Infinity, Infinity];
    for (const { loss, storedBits } of options) {
      const excess = loss + price * storedBits - least;
      if (excess < first) [first, second] = [excess, first];
      else if (excess < second) second = excess;
    }
    const { loss, storedBits } = options[chosen[item] as number] as AllocationOption;
    if (second < gap || loss + price * storedBits > least) doubts.push({ item, second });
  });
  doubts.sort((a, b) => a.second - b.second || a.item - b.item);
  return doubts.slice(0, coreItems).map(({ item }) => {
    const { options } = items[item] as AllocationItem;
    const least = leastOf[item] as number;
    const choices = efficientOptions(options)
      .map((option) => {
        const { storedBits: bits, loss } = options[option] as AllocationOption;
        return { option, bits, loss, excess: loss + price * bits - least };
      })
      .filter(({ excess }) => excess < gap);
    return { item, choices };
  });
}

/** Drops partial choices that another beats in bits and loss, and of too many the ones with the largest excess. */
function strongest(states: State[]): State[] {
  states.sort((a, b) => a.bits - b.bits || a.loss - b.loss);
  const kept: State[] = [];
  let least = Infinity;
  for (const state of states)
    if (state.loss < least) {
      kept.push(state);
      least = state.loss;
    }
  return kept.length <= keptStates ? kept : kept.sort((a, b) => a.excess - b.excess || a.bits - b.bits).slice(0, keptStates);
}
