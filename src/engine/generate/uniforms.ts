import { SeededRandom } from '../../common/random';

/** Random numbers of a sequence in (0, 1], one for each token drawn, in order. */
export type Uniforms = () => number;

/**
 * Uniform numbers with 24 bits, as float32 has them: a function of seed, sequence and the number of draws before, so that neither batches nor the length of a run change what is drawn.
 */
export function uniformsOf(seed: number, sequence: number): Uniforms {
  const random = randomOfSequence(seed, sequence);
  return () => ((random.nextUint32() >>> 8) + 1) / 2 ** 24;
}

/** The random numbers of a sequence. Seed and sequence are not exchangeable: sequence 2 of seed 1 is another one than sequence 1 of seed 2. */
export function randomOfSequence(seed: number, sequence: number): SeededRandom {
  const base = new SeededRandom(seed).nextUint32();
  return new SeededRandom(base ^ new SeededRandom(sequence ^ 0x5bd1e995).nextUint32());
}
