import type { AllocationItem } from './types';

/** The options of all items in columns: item i has those from starts[i] up to, but excluding, starts[i + 1]. Columns make passes over many items fast. */
export interface FlatOptions {
  readonly starts: Uint32Array;
  readonly bits: Float64Array;
  readonly loss: Float64Array;
}

/** Converts the items' options to columns of stored bits and losses. */
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
