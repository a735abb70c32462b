import { numberToFloat16 } from '../../../common/halfFloat';
import { SeededRandom } from '../../../common/random';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { RuntimeTensor } from '../../runtime/types';

/** Length taken for axes whose length is free. */
export const freeLength = 4;
/** Lengths that are tried where the model does not run on that: sounds and images need more. */
const longerLengths = [64, 1024, 16_384];
/** Most elements of an input with one of these lengths. */
const mostElements = 2 ** 24;

export type Feeds = Readonly<Record<string, RuntimeTensor>>;

/** An input as a graph declares it. */
export interface DeclaredInput {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | undefined)[];
}

/** Seeded numbers of each type that the runtime accepts: normal numbers for floats, bytes for uint8, 0 and 1 for other whole numbers (which are often indices or masks). */
const samples: Partial<Record<string, (count: number, random: SeededRandom) => RuntimeTensor['data']>> = {
  float32: (count, random) => Float32Array.from({ length: count }, () => random.nextNormal()),
  float64: (count, random) => Float64Array.from({ length: count }, () => random.nextNormal()),
  float16: (count, random) => Uint16Array.from({ length: count }, () => numberToFloat16(random.nextNormal())),
  int64: (count, random) => BigInt64Array.from({ length: count }, () => BigInt(random.nextBelow(2))),
  uint64: (count, random) => BigUint64Array.from({ length: count }, () => BigInt(random.nextBelow(2))),
  int32: (count, random) => Int32Array.from({ length: count }, () => random.nextBelow(2)),
  uint32: (count, random) => Uint32Array.from({ length: count }, () => random.nextBelow(2)),
  int16: (count, random) => Int16Array.from({ length: count }, () => random.nextBelow(2)),
  uint16: (count, random) => Uint16Array.from({ length: count }, () => random.nextBelow(2)),
  int8: (count, random) => Int8Array.from({ length: count }, () => random.nextBelow(2)),
  uint8: (count, random) => Uint8Array.from({ length: count }, () => random.nextBelow(256)),
  bool: (count, random) => Uint8Array.from({ length: count }, () => random.nextBelow(2)),
};

/** Lengths of free axes to try, the shortest first: one alone where no axis is free. */
export function lengthsToTry(inputs: readonly DeclaredInput[]): readonly number[] {
  const isFree = inputs.some(({ shape }) => shape.some((length) => !isKnown(length)));
  const fits = (length: number): boolean => inputs.every(({ shape }) => elementCount(lengthsOf(shape, length)) <= mostElements);
  return isFree ? [freeLength, ...longerLengths.filter(fits)] : [freeLength];
}

const isKnown = (length: number | string | undefined): length is number => typeof length === 'number' && length > 0;
/** The first axis, which counts samples, stays short where others are free. */
const lengthsOf = (shape: DeclaredInput['shape'], free: number): readonly number[] =>
  shape.map((length, axis) =>
    isKnown(length) ? length : axis === 0 && shape.slice(1).some((other) => !isKnown(other)) ? freeLength : free,
  );

/** The first input of a type that the runtime does not accept. */
export function refusedInput(inputs: readonly DeclaredInput[]): DeclaredInput | undefined {
  return inputs.find(({ dtype }) => samples[dtype] === undefined);
}

/** Seeded inputs of the declared shapes, with this length for every free axis. Types: those that `refusedInput` accepts. */
export function sampleFeeds(inputs: readonly DeclaredInput[], seed: number, free = freeLength): Feeds {
  const random = new SeededRandom(seed + 1);
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, dtype, shape } of inputs) {
    const sample = samples[dtype];
    if (sample === undefined) throw new Error(`Inputs of type ${dtype} cannot be fed.`);
    const lengths = lengthsOf(shape, free);
    feeds[name] = { dtype: dtype as DType, shape: lengths, data: sample(elementCount(lengths), random) };
  }
  return feeds;
}

/** Relative size of the changes below: a few units in the last place of float32. */
const jitterSize = 2 ** -22;

/** Every value moved by about its own rounding error, up or down. One generator serves all tensors of a model, so that no two move alike. */
export function jitteredValues<T extends Float32Array | Float64Array>(values: T, random: SeededRandom): T {
  return values.map((value) => value * (1 + (random.nextBelow(2) === 1 ? jitterSize : -jitterSize))) as T;
}

/**
 * The same feeds with every floating-point value moved by about its own rounding error, up or down: what comes out shows how far rounding alone moves
 * the outputs of a graph. Values of whole numbers stay.
 */
export function jittered(feeds: Feeds, seed: number): Feeds {
  const random = new SeededRandom(seed + 2);
  const up = () => random.nextBelow(2) === 1;
  const move = ({ dtype, shape, data }: RuntimeTensor): RuntimeTensor => {
    if (data instanceof Float32Array || data instanceof Float64Array) return { dtype, shape, data: jitteredValues(data, random) };
    // The bit patterns beside a number's are those of its neighbours; zeros, infinities and what is beside them stay.
    if (dtype === 'float16' && data instanceof Uint16Array)
      return {
        dtype,
        shape,
        data: data.map((code) => ((code & 0x7fff) === 0 || (code & 0x7fff) >= 0x7bff ? code : up() ? code + 1 : code - 1)),
      };
    return { dtype, shape, data };
  };
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, move(tensor)]));
}
