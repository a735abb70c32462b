import { efficientOptions } from './hull';
import type { FlatOptions } from './flatOptions';
import type { AllocationItem, AllocationOption, AllocationPins } from './types';

/** Maximum number of items searched, and of partial choices kept after each. Both bound the time to respond to a new budget. */
const coreItems = 32;
const keptStates = 128;

interface Choice {
  readonly option: number;
  readonly bits: number;
  readonly loss: number;
  /** Cost of the choice above the item's best one at the price of a bit: loss + price * bits, minus the item's minimum. */
  readonly excess: number;
}

/** Partial choices in ascending order of bits and descending order of loss, as columns; `choice` and `before` (index in the previous states) record how each was made. */
interface States {
  readonly count: number;
  readonly bits: Float64Array;
  readonly loss: Float64Array;
  readonly excess: Float64Array;
  readonly choice: Uint16Array;
  readonly before: Uint16Array;
}

/**
 * Improves a choice that meets the budget, in place. At a given price of a bit, each item has a best option; their sum is a lower bound of the loss
 * of every choice within the budget, and a choice whose excesses add up to more than the gap between that bound and the best known loss cannot be
 * better. Only items with a second option below the gap are uncertain. They are searched in turn, keeping partial choices that no other beats in bits
 * and loss: exact as long as neither limit (items, kept partial choices) is reached, otherwise a beam search. The better result is kept.
 */
export function refine(
  items: readonly AllocationItem[],
  flat: FlatOptions,
  chosen: number[],
  budgetBits: number,
  price: number,
  pins: AllocationPins,
): void {
  const { leastOf, secondOf, bound, known } = priced(flat, chosen, budgetBits, price, pins);
  const gap = known - bound;
  if (!(gap > 0)) return;
  const core = itemsInDoubt(items, flat, chosen, leastOf, secondOf, price, gap);
  if (core.length === 0) return;

  // Items outside the core keep their choice.
  const { starts, bits: bitsOf, loss: lossOf } = flat;
  const inCore = new Uint8Array(items.length);
  for (const { item } of core) inCore[item] = 1;
  let [fixedBits, fixedLoss, fixedExcess] = [0, 0, 0];
  for (let item = 0; item < inCore.length; item += 1) {
    if (inCore[item] === 1) continue;
    const place = (starts[item] as number) + (chosen[item] as number);
    const [bits, loss] = [bitsOf[place] as number, lossOf[place] as number];
    fixedBits += bits;
    fixedLoss += loss;
    fixedExcess += loss + price * bits - (leastOf[item] as number);
  }
  let smallestRest = core.reduce((sum, { choices }) => sum + Math.min(...choices.map(({ bits }) => bits)), 0);
  const stages: States[] = [];
  let states = startStates(fixedBits, fixedLoss, fixedExcess);
  for (const { choices } of core) {
    smallestRest -= Math.min(...choices.map(({ bits }) => bits));
    states = extended(states, choices, budgetBits - smallestRest, gap);
    stages.push(states);
  }
  // Losses decrease along the states: the last one is the best.
  let place = states.count - 1;
  if (place < 0 || !((states.loss[place] as number) < known)) return;
  for (let index = core.length - 1; index >= 0; index -= 1) {
    const { item, choices } = core[index] as CoreItem;
    const { choice, before } = stages[index] as States;
    chosen[item] = (choices[choice[place] as number] as Choice).option;
    place = before[place] as number;
  }
}

/** An item with the excess of its second-best option. */
interface Doubt {
  readonly item: number;
  readonly second: number;
}

interface CoreItem {
  readonly item: number;
  readonly choices: readonly Choice[];
}

/** For each item, the least and second-least loss + price * bits (infinite if there is no other option); also the bound and the current loss. */
function priced(
  { starts, bits, loss }: FlatOptions,
  chosen: readonly number[],
  budgetBits: number,
  price: number,
  pins: AllocationPins,
): { readonly leastOf: Float64Array; readonly secondOf: Float64Array; readonly bound: number; readonly known: number } {
  const count = chosen.length;
  const leastOf = new Float64Array(count);
  const secondOf = new Float64Array(count);
  let bound = -price * budgetBits;
  let known = 0;
  for (let item = 0; item < count; item += 1) {
    const start = starts[item] as number;
    const end = starts[item + 1] as number;
    const current = start + (chosen[item] as number);
    known += loss[current] as number;
    let least = Infinity;
    let second = Infinity;
    if (pins.has(item)) least = (loss[current] as number) + price * (bits[current] as number);
    else
      for (let place = start; place < end; place += 1) {
        const value = (loss[place] as number) + price * (bits[place] as number);
        if (value < least) {
          second = least;
          least = value;
        } else if (value < second) second = value;
      }
    leastOf[item] = least;
    secondOf[item] = second;
    bound += least;
  }
  return { leastOf, secondOf, bound, known };
}

/** Items that have more than one option with an excess below the gap, or whose option is not their best: the most uncertain first. */
function itemsInDoubt(
  items: readonly AllocationItem[],
  { starts, bits: bitsOf, loss: lossOf }: FlatOptions,
  chosen: readonly number[],
  leastOf: Float64Array,
  secondOf: Float64Array,
  price: number,
  gap: number,
): CoreItem[] {
  const doubts: Doubt[] = [];
  for (let item = 0; item < chosen.length; item += 1) {
    const least = leastOf[item] as number;
    const second = (secondOf[item] as number) - least;
    if (second === Infinity) continue;
    const place = (starts[item] as number) + (chosen[item] as number);
    if (second < gap || (lossOf[place] as number) + price * (bitsOf[place] as number) > least) doubts.push({ item, second });
  }
  return mostDoubtful(doubts).map(({ item }) => {
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

/** The items with the least second excess, the most uncertain first. */
function mostDoubtful(doubts: readonly Doubt[]): readonly Doubt[] {
  const limit = doubts.length <= coreItems ? Infinity : (Float64Array.from(doubts, ({ second }) => second).sort()[coreItems - 1] as number);
  return doubts
    .filter(({ second }) => second <= limit)
    .sort((a, b) => a.second - b.second || a.item - b.item)
    .slice(0, coreItems);
}

function startStates(bits: number, loss: number, excess: number): States {
  return {
    count: 1,
    bits: Float64Array.of(bits),
    loss: Float64Array.of(loss),
    excess: Float64Array.of(excess),
    choice: new Uint16Array(1),
    before: new Uint16Array(1),
  };
}

/**
 * Extends every state by every choice that keeps the bits within `mostBits` and the excess below the gap. States that another beats in bits and loss are
 * dropped, and of too many states those with the largest excess. The states for any one choice are in order already, so the lists are merged.
 */
function extended(states: States, choices: readonly Choice[], mostBits: number, gap: number): States {
  const most = states.count * choices.length;
  const made = columns(most);
  const heads = new Uint32Array(choices.length);
  const bitsOf = Float64Array.from(choices, ({ bits }) => bits);
  const lossOf = Float64Array.from(choices, ({ loss }) => loss);
  const excessOf = Float64Array.from(choices, ({ excess }) => excess);
  let count = 0;
  let least = Infinity;
  for (let step = 0; step < most; step += 1) {
    let [best, bits, loss] = [-1, Infinity, Infinity];
    for (let choice = 0; choice < heads.length; choice += 1) {
      const head = heads[choice] as number;
      if (head === states.count) continue;
      const nextBits = (states.bits[head] as number) + (bitsOf[choice] as number);
      if (nextBits > bits) continue;
      const nextLoss = (states.loss[head] as number) + (lossOf[choice] as number);
      if (nextBits < bits || nextLoss < loss) [best, bits, loss] = [choice, nextBits, nextLoss];
    }
    // All following states have at least as many bits.
    if (bits > mostBits) break;
    const head = heads[best] as number;
    heads[best] = head + 1;
    const excess = (states.excess[head] as number) + (excessOf[best] as number);
    if (!(loss < least) || !(excess < gap)) continue;
    least = loss;
    made.bits[count] = bits;
    made.loss[count] = loss;
    made.excess[count] = excess;
    made.choice[count] = best;
    made.before[count] = head;
    count += 1;
  }
  return strongest({ ...made, count });
}

/** At most the maximum number of states: those with the least excess, in order. */
function strongest(states: States): States {
  const { count, bits, loss, excess, choice, before } = states;
  if (count <= keptStates) return states;
  const limit = excess.slice(0, count).sort()[keptStates - 1] as number;
  const kept = columns(keptStates);
  let next = 0;
  for (let place = 0; place < count && next < keptStates; place += 1) {
    if ((excess[place] as number) > limit) continue;
    kept.bits[next] = bits[place] as number;
    kept.loss[next] = loss[place] as number;
    kept.excess[next] = excess[place] as number;
    kept.choice[next] = choice[place] as number;
    kept.before[next] = before[place] as number;
    next += 1;
  }
  return { ...kept, count: next };
}

function columns(length: number): Omit<States, 'count'> {
  return {
    bits: new Float64Array(length),
    loss: new Float64Array(length),
    excess: new Float64Array(length),
    choice: new Uint16Array(length),
    before: new Uint16Array(length),
  };
}
