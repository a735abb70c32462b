/** One choice of an item. */
export interface AllocationOption {
  /** Width of a code: 0 is pruned, 1 to 8 are code widths, 16 is unquantised. */
  readonly bits: number;
  /** Total bits stored for the item: codes and side information. */
  readonly storedBits: number;
  /** Predicted increase of the loss. */
  readonly loss: number;
  /** Other settings of the option: `{groupSize: 64}`. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** A unit that gets one width: its options in ascending order of stored bits. Shared by the engine and the page with the budget slider. */
export interface AllocationItem {
  /** Tensor that the item belongs to. */
  readonly tensor: string;
  readonly weights: number;
  readonly options: readonly AllocationOption[];
}

/** One point of the trade-off between size and loss. */
export interface ParetoPoint {
  readonly bitsPerWeight: number;
  /** Predicted increase of the loss in nats per token or sample, or the measured increase if `measured`. */
  readonly loss: number;
  readonly measured: boolean;
}

/** Pinned choices: index of an item to index of its option. */
export type AllocationPins = ReadonlyMap<number, number>;

/** A choice of one option per item. */
export interface Allocation {
  /** Index of the option of each item. */
  readonly chosen: readonly number[];
  readonly storedBits: number;
  /** Sum of the chosen options' losses. */
  readonly loss: number;
  /** False if even the smallest options of all unpinned items exceed the budget; `chosen` is then that smallest choice. */
  readonly met: boolean;
  /** Fewest bits possible with these pins: the smallest budget that can be met. */
  readonly smallestBits: number;
  /** Bits stored at the least loss: a larger budget changes nothing. */
  readonly largestBits: number;
}

/** Widths beyond those of the methods that a tensor can be pinned at under a budget: pruned, and unquantised. */
export type PinnedWidth = 0 | 16;

/** True for the widths that only exist under a budget. */
export function isPinnedWidth(bits: unknown): bits is PinnedWidth {
  return bits === 0 || bits === 16;
}
