import type { RuntimeTensor } from '../runtime/types';
import { elementCount } from '../../protocol/dtypes';
import type { Statistic, Statistics } from './taps/tap';
import type { TapOutput } from './tappedWeights';

/** Adds the outputs of several runs in float64, and makes statistics of them. */
export class TapSums {
  private readonly sums: readonly Float64Array[];

  constructor(private readonly outputs: readonly TapOutput[]) {
    this.sums = outputs.map(({ shape }) => new Float64Array(elementCount(shape)));
  }

  /** The results of one run. */
  add(results: Readonly<Record<string, RuntimeTensor>>): void {
    this.outputs.forEach(({ output }, index) => {
      const values = results[output]!.data as Float32Array;
      const sum = this.sums[index] as Float64Array;
      for (let place = 0; place < sum.length; place += 1) sum[place] = (sum[place] as number) + (values[place] as number);
    });
  }

  /** After the last run. `nameOf` gives the name of a weight for the one that the graph has. */
  finish(seen: Pick<Statistic, 'tokens' | 'windows'>, nameOf: (name: string) => string): Statistics {
    const statistics = new Map<string, Map<string, Statistic>>();
    this.outputs.forEach(({ kind, shape, tensors }, index) => {
      const statistic = { shape, ...seen, values: kind.finish(this.sums[index] as Float64Array, seen.tokens) };
      for (const tensor of tensors) {
        const own = statistics.get(nameOf(tensor)) ?? new Map<string, Statistic>();
        own.set(kind.id, statistic);
        statistics.set(nameOf(tensor), own);
      }
    });
    return statistics;
  }
}
