import type { RuntimeTensor } from '../runtime/types';
import { noiseKinds, type NoiseDemand, type NoiseKind } from './noiseDraws';
import { PoolRandom } from './poolRandom';
import { stepNames } from './stepGraph';

/** Longest stretch that is drawn at one offset, in values: 128 MiB. What a step needs beyond it is drawn separately. */
export const longestDraw = 2 ** 25;
/** The pool is longer than what a step draws at once, by a quarter and at least so many values, so that offsets differ. */
const leastSlack = 2 ** 16;
/** Steps between refills. Part of a job's results: it never depends on the machine. */
export const refillEvery = 50;
/**
 * Bytes of pools that a run may be fed at once on its own device: there the state crosses to it and back with every run, so a run should span several
 * refills. On the CPU one refill is enough, and memory is dearer.
 */
const deviceBytes = 256 * 2 ** 20;

/**
 * Noise for training: a pool of random values that stays for some steps, and for each step offsets into it. Drawing is a copy of a stretch, far faster
 * than making values. Pool and offsets are functions of (seed, refill) and (seed, step).
 */
export class NoisePool {
  /** By kind, the pools of some refills one after another. */
  private readonly pools = new Map<NoiseKind, { readonly first: number; readonly count: number; readonly values: Float32Array }>();
  private readonly refillsPerRun: number;

  /** `onDevice`: runs happen on a device with memory of its own, and may span several refills. Changes no value. */
  constructor(
    private readonly demand: ReadonlyMap<NoiseKind, NoiseDemand>,
    private readonly seed: number,
    onDevice = false,
  ) {
    const bytes = [...demand.values()].reduce((sum, each) => sum + 4 * poolLength(each), 0);
    this.refillsPerRun = onDevice ? Math.max(1, Math.floor(deviceBytes / Math.max(1, bytes))) : 1;
  }

  /** The first step that a run from `step` on cannot include, because it needs another pool; Infinity where no noise is drawn. */
  nextRefill(step: number): number {
    return this.demand.size === 0 ? Infinity : (Math.floor(step / refillEvery) + this.refillsPerRun) * refillEvery;
  }

  /** Inputs of a run of `count` steps from `step` on; the run must end at `nextRefill`. The pools of all its refills are one input, and offsets count from its beginning. */
  feeds(step: number, count: number): Readonly<Record<string, RuntimeTensor>> {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const [kind, { draws }] of this.demand) {
      const first = Math.floor(step / refillEvery);
      const refills = Math.floor((step + Math.max(1, count) - 1) / refillEvery) - first + 1;
      const values = this.poolsOf(kind, first, refills);
      const length = values.length / refills;
      const offsets = new BigInt64Array(count * draws.length);
      for (let index = 0; index < count; index += 1) {
        const random = new PoolRandom(this.seed, step + index, 0x0ff5 + noiseKinds.indexOf(kind));
        const pool = (Math.floor((step + index) / refillEvery) - first) * length;
        draws.forEach((drawn, draw) => {
          offsets[index * draws.length + draw] = BigInt(pool + random.nextBelow(length - drawn + 1));
        });
      }
      feeds[stepNames.pool(kind)] = { dtype: 'float32', shape: [values.length], data: values };
      feeds[stepNames.offsets(kind)] = { dtype: 'int64', shape: [count, draws.length], data: offsets };
    }
    return feeds;
  }

  private poolsOf(kind: NoiseKind, first: number, count: number): Float32Array {
    const length = poolLength(this.demand.get(kind) as NoiseDemand);
    const known = this.pools.get(kind);
    const skipped = known === undefined ? -1 : first - known.first;
    if (known && skipped >= 0 && skipped + count <= known.count) return known.values.subarray(skipped * length, (skipped + count) * length);
    const values = known?.count === count ? known.values : new Float32Array(count * length);
    for (let index = 0; index < count; index += 1) {
      const random = new PoolRandom(this.seed, first + index, 0x9001 + noiseKinds.indexOf(kind));
      const pool = values.subarray(index * length, (index + 1) * length);
      if (kind === 'uniform') random.fillUniform(pool);
      else random.fillGaussian(pool);
    }
    this.pools.set(kind, { first, count, values });
    return values;
  }
}

function poolLength({ draws }: NoiseDemand): number {
  const longest = Math.max(...draws);
  return longest + Math.max(leastSlack, Math.ceil(longest / 4));
}
