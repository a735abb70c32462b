import type { RuntimeTensor } from '../runtime/types';
import { noiseKinds, type NoiseDemand, type NoiseKind } from './noiseDraws';
import { PoolRandom } from './poolRandom';
import { stepNames } from './stepGraph';

/** Longest stretch that is drawn at one offset, in values: 128 MiB. What a step takes beyond it is drawn anew. */
export const longestDraw = 2 ** 25;
/** The pool is longer than what a step draws at once, by a quarter and at least so many values, so that offsets differ. */
const leastSlack = 2 ** 16;
/** Steps between refills. Part of a job's results: it never depends on the machine. */
export const refillEvery = 50;

/**
 * Noise for training: a pool of random values that stays for some steps, and for each step offsets into it. Drawing is a copy of a stretch, far faster
 * than making values. Pool and offsets are functions of (seed, refill) and (seed, step).
 */
export class NoisePool {
  private readonly pools = new Map<NoiseKind, { refill: number; values: Float32Array }>();

  constructor(
    private readonly demand: ReadonlyMap<NoiseKind, NoiseDemand>,
    private readonly seed: number,
  ) {}

  /** The first step after `step` that needs another pool; Infinity where no noise is drawn. */
  nextRefill(step: number): number {
    return this.demand.size === 0 ? Infinity : (Math.floor(step / refillEvery) + 1) * refillEvery;
  }

  /** Inputs of a run of `count` steps from `step` on; the run must end at the next refill. */
  feeds(step: number, count: number): Readonly<Record<string, RuntimeTensor>> {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const [kind, { draws }] of this.demand) {
      const values = this.pool(kind, Math.floor(step / refillEvery));
      const offsets = new BigInt64Array(count * draws.length);
      for (let index = 0; index < count; index += 1) {
        const random = new PoolRandom(this.seed, step + index, 0x0ff5 + noiseKinds.indexOf(kind));
        draws.forEach((length, draw) => {
          offsets[index * draws.length + draw] = BigInt(random.nextBelow(values.length - length + 1));
        });
      }
      feeds[stepNames.pool(kind)] = { dtype: 'float32', shape: [values.length], data: values };
      feeds[stepNames.offsets(kind)] = { dtype: 'int64', shape: [count, draws.length], data: offsets };
    }
    return feeds;
  }

  private pool(kind: NoiseKind, refill: number): Float32Array {
    const known = this.pools.get(kind);
    if (known?.refill === refill) return known.values;
    const values = known?.values ?? new Float32Array(poolLength(this.demand.get(kind) as NoiseDemand));
    const random = new PoolRandom(this.seed, refill, 0x9001 + noiseKinds.indexOf(kind));
    if (kind === 'uniform') random.fillUniform(values);
    else random.fillGaussian(values);
    this.pools.set(kind, { refill, values });
    return values;
  }
}

function poolLength({ draws }: NoiseDemand): number {
  const longest = Math.max(...draws);
  return longest + Math.max(leastSlack, Math.ceil(longest / 4));
}
