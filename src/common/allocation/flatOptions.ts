import type { AllocationItem } from './types';

/** The options of all items in columns: those of item i stand from starts[i] to before starts[i + 1]. Walks over many items are fast this way. */
export interface FlatOptions {
  readonly starts: Uint32Array;
  readonly bits: Float64Array;
  readonly loss: Float64Array;
}

/** Stored bits and losses of the items' options in columns. */
export function flatOptions(items: readonly AllocationItem[]): FlatOptions {
  const starts = new Uint32Array(items.length + 1);
  for (let item = 0; item < items.length; item += 1)
    starts[item + 1] = (starts[item] as number) + (items[item] as AllocationItem).options.length;
  const count = starts[items.length] as number;
  const flat = { starts, bits: new Float64Array(count), loss: new Float64Array(count) };
  let place = 0;
  for (const { options } of items)
    for (const { storedBits, loss } of options) {
      flat.bits[place] = storedBits;
      flat.loss[place] = loss;
      place += 1;
    }
  return flat;
}
