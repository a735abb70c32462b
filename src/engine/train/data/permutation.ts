import { PoolRandom } from '../poolRandom';

/** What permutations are for: the third word of their random stream. */
const purpose = 0x7e57;

/**
 * Samples in an order that is a function of (seed, pass): every pass over the data is a new permutation. `sampleAt` counts through passes: position
 * p is place p mod n of pass floor(p / n). The newest two permutations are kept, as batches cross from one to the next.
 */
export class Permutations {
  private readonly kept = new Map<number, Uint32Array>();

  constructor(
    private readonly samples: number,
    private readonly seed: number,
    /** Tells sources of one job apart. */
    private readonly source = 0,
  ) {}

  sampleAt(position: number): { readonly sample: number; readonly pass: number } {
    const pass = Math.floor(position / this.samples);
    return { sample: this.permutation(pass)[position - pass * this.samples] as number, pass };
  }

  private permutation(pass: number): Uint32Array {
    const known = this.kept.get(pass);
    if (known) return known;
    const order = shuffled(this.samples, new PoolRandom(this.seed, pass, purpose + this.source));
    for (const old of this.kept.keys()) if (Math.abs(old - pass) > 1) this.kept.delete(old);
    this.kept.set(pass, order);
    return order;
  }
}

/** The numbers from 0 to count - 1 in a random order (Fisher and Yates). */
export function shuffled(count: number, random: PoolRandom): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = random.nextBelow(last + 1);
    const value = order[last] as number;
    order[last] = order[other] as number;
    order[other] = value;
  }
  return order;
}
