/** One choice of an item. */
export interface AllocationOption {
  /** Width of a code: 0 pruned, 1 to 8, 16 left alone. */
  readonly bits: number;
  /** All bits stored for the item: codes and side information. */
  readonly storedBits: number;
  /** Foretold increase of the loss. */
  readonly loss: number;
  /** What else the option sets: `{groupSize: 64}`. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** Something that gets one width: its choices in rising order of stored bits. Shared by the engine and the page that moves the budget. */
export interface AllocationItem {
  /** Tensor that it belongs to. */
  readonly tensor: string;
  readonly weights: number;
  readonly options: readonly AllocationOption[];
}

/** One point of the trade between size and loss. */
export interface ParetoPoint {
  readonly bitsPerWeight: number;
  /** Foretold increase of the loss in nats per token or sample, or measured loss increase where `measured`. */
  readonly loss: number;
  readonly measured: boolean;
}

/** Fixed choices: index of an item to index of its option. */
export type AllocationPins = ReadonlyMap<number, number>;

/** One option for every item. */
export interface Allocation {
  /** Index of the option of each item. */
  readonly chosen: readonly number[];
  readonly storedBits: number;
  /** Sum of the chosen options' losses. */
  readonly loss: number;
  /** False where even the smallest choice of everything that is not pinned is larger than the budget; `chosen` is then that smallest choice. */
  readonly met: boolean;
  /** The fewest bits that can be stored with these pins: the smallest budget that can be met. */
  readonly smallestBits: number;
  /** Bits stored when nothing more can be gained: a larger budget changes nothing. */
  readonly largestBits: number;
}

/** Widths outside of what methods round to that a tensor can be fixed at under a budget: pruned, and left alone. */
export type PinnedWidth = 0 | 16;

/** True for the widths that only a budget knows. */
export function isPinnedWidth(bits: unknown): bits is PinnedWidth {
  return bits === 0 || bits === 16;
}
