import type { LearnedTensor } from '../../src/engine/formats/archive/learnedTensor';
import type { SeededRandom } from '../../src/common/random';

/** What a random learned tensor looks like. */
export interface RandomLearnedOptions {
  readonly name: string;
  readonly shape: readonly number[];
  /** 0: the whole tensor. */
  readonly groupSize: number;
  /** Widths to draw from. */
  readonly widths: readonly number[];
  readonly transposed?: boolean;
}

/** Random widths and levels between a random minimum and maximum. */
export function randomLearned(
  random: SeededRandom,
  { name, shape, groupSize, widths, transposed = false }: RandomLearnedOptions,
): LearnedTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const size = Math.max(1, groupSize === 0 ? count : groupSize);
  const bits = Uint8Array.from({ length: Math.ceil(count / size) }, () => widths[random.nextBelow(widths.length)] as number);
  const minimum = Math.fround(-random.next());
  return {
    name,
    shape,
    transposed,
    groupSize,
    bits,
    minimum,
    maximum: Math.fround(minimum + random.next()),
    levels: Uint16Array.from({ length: count }, (_, index) => random.nextBelow(2 ** (bits[Math.floor(index / size)] as number))),
    bitsOfWidth: Math.ceil(
      Math.log2(
        1 + bits.reduce((most, width) => Math.max(most, width), 0) - bits.reduce((least, width) => Math.min(least, width), bits[0] ?? 0),
      ),
    ),
  };
}

/**
 * Rounds real weights (canonical order) to the grid between their extremes, with a random width for each group.
 */
export function learnedFrom(random: SeededRandom, weights: Float32Array, options: RandomLearnedOptions): LearnedTensor {
  const empty = randomLearned(random, options);
  let [minimum, maximum] = [Infinity, -Infinity];
  for (const weight of weights) {
    minimum = Math.min(minimum, weight);
    maximum = Math.max(maximum, weight);
  }
  const size = Math.max(1, options.groupSize === 0 ? weights.length : options.groupSize);
  const levels = Uint16Array.from(weights, (weight, index) => {
    const most = 2 ** (empty.bits[Math.floor(index / size)] as number) - 1;
    return Math.round(((weight - minimum) / (maximum - minimum || 1)) * most);
  });
  return { ...empty, minimum, maximum, levels };
}
