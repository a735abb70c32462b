import type { LearnedTensor } from './learnedTensor';

/** Widest stored level. */
export const widestLearned = 15;

/** Entries of one group: the whole tensor if the group size is 0. At least 1. */
export function learnedGroupSize({
  groupSize,
  levels,
}: {
  readonly groupSize: number;
  readonly levels: { readonly length: number };
}): number {
  return Math.max(1, groupSize === 0 ? levels.length : groupSize);
}

/**
 * Distance between adjacent levels of a width, in float32: (maximum - minimum) / (2^bits - 1), each operation rounded to float32. 0 for
 * constant tensors and for 0 bits.
 */
export function learnedStep(minimum: number, maximum: number, bits: number): number {
  return bits === 0 ? 0 : Math.fround(Math.fround(maximum - minimum) / (2 ** bits - 1));
}

/**
 * Values of all levels of a width: minimum + level * step, with product and sum each rounded to float32, so that a graph of Mul and Add
 * gives identical bits. A pruned group (0 bits) has the value 0.
 */
export function learnedValues(minimum: number, maximum: number, bits: number): Float32Array {
  if (bits === 0) return new Float32Array(1);
  const step = learnedStep(minimum, maximum, bits);
  const offset = Math.fround(minimum);
  return Float32Array.from({ length: 2 ** bits }, (_, level) => Math.fround(Math.fround(level * step) + offset));
}

/** The float32 weights of a learned tensor in canonical order. `target`: an array of the same length to fill. */
export function dequantizeLearned(tensor: LearnedTensor, target?: Float32Array): Float32Array {
  const { levels, bits, minimum, maximum } = tensor;
  const size = learnedGroupSize(tensor);
  const values = target ?? new Float32Array(levels.length);
  const tables: Float32Array[] = [];
  for (let group = 0, from = 0; from < levels.length; group += 1, from += size) {
    const width = bits[group] as number;
    const table = (tables[width] ??= learnedValues(minimum, maximum, width));
    const end = Math.min(from + size, levels.length);
    for (let index = from; index < end; index += 1) values[index] = table[levels[index] as number] as number;
  }
  return values;
}

/**
 * Bits of a learned tensor by the published formula: levels, minimum and maximum as float32, one byte for the size of a table entry, and
 * the table of widths. A shorter last group counts only its own entries.
 */
export function learnedBits(tensor: LearnedTensor): number {
  const size = learnedGroupSize(tensor);
  let bits = 64 + 8 + tensor.bitsOfWidth * tensor.bits.length;
  for (let group = 0; group < tensor.bits.length; group += 1)
    bits += (tensor.bits[group] as number) * (Math.min((group + 1) * size, tensor.levels.length) - group * size);
  return bits;
}
