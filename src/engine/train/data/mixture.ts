import { PoolRandom } from '../poolRandom';
import { shuffled } from './permutation';

/** Positions that are shared out together: shares are kept to 1 in 1,000. */
const blockLength = 1000;

/** Which source a position of the endless sequence of samples takes, and how many samples of that source came before. */
export interface MixedPosition {
  readonly source: number;
  readonly position: number;
}

/**
 * Shares positions out among sources: every block of 1,000 positions has each source its share of times (largest remainders first), in a seeded order. A
 * function of (shares, seed, position).
 */
export class Mixture {
  private readonly counts: readonly number[];
  private readonly ordered: Uint16Array;
  private block = -1;
  private sources = new Uint16Array(0);
  private ranks = new Uint32Array(0);

  constructor(
    shares: readonly number[],
    private readonly seed: number,
  ) {
    this.counts = shareOut(shares);
    this.ordered = Uint16Array.from(this.counts.flatMap((count, source) => new Array<number>(count).fill(source)));
  }

  at(position: number): MixedPosition {
    const block = Math.floor(position / blockLength);
    if (block !== this.block) this.load(block);
    const place = position - block * blockLength;
    const source = this.sources[place] as number;
    return { source, position: block * (this.counts[source] as number) + (this.ranks[place] as number) };
  }

  private load(block: number): void {
    const order = shuffled(blockLength, new PoolRandom(this.seed, block, 0x312d));
    this.sources = Uint16Array.from(order, (place) => this.ordered[place] as number);
    const seen = this.counts.map(() => 0);
    this.ranks = Uint32Array.from(this.sources, (source) => {
      const rank = seen[source] as number;
      seen[source] = rank + 1;
      return rank;
    });
    this.block = block;
  }
}

/** Whole counts that add up to the block; every source has at least 1. */
function shareOut(shares: readonly number[]): readonly number[] {
  const counts = shares.map((share) => Math.max(1, Math.floor(share * blockLength)));
  const byRemainder = shares.map((share, source) => ({ source, remainder: share * blockLength - (counts[source] as number) }));
  byRemainder.sort((a, b) => b.remainder - a.remainder || a.source - b.source);
  let rest = blockLength - counts.reduce((sum, count) => sum + count, 0);
  for (let index = 0; rest > 0; index += 1, rest -= 1) {
    const { source } = byRemainder[index % byRemainder.length] as { readonly source: number };
    counts[source] = (counts[source] as number) + 1;
  }
  while (rest < 0) {
    const largest = counts.indexOf(Math.max(...counts));
    counts[largest] = (counts[largest] as number) - 1;
    rest += 1;
  }
  return counts;
}
