import type { RuntimeTensor, Session } from '../../src/engine/runtime/types';

/** Sizes of a cache that a language model with Optimum's names takes. */
export interface CacheShape {
  readonly layers: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
}

const integers = (values: readonly number[]): RuntimeTensor => ({
  dtype: 'int64',
  shape: [1, values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** Greedy continuation by a session with a cache: the whole prompt first, then one token a run. Stops after `count` tokens. */
export async function greedyTokens(session: Session, cache: CacheShape, prompt: readonly number[], count: number): Promise<number[]> {
  let past: Record<string, RuntimeTensor> = {};
  for (let layer = 0; layer < cache.layers; layer += 1)
    for (const part of ['key', 'value'])
      past[`past_key_values.${layer}.${part}`] = {
        dtype: 'float32',
        shape: [1, cache.keyValueHeads, 0, cache.headSize],
        data: new Float32Array(0),
      };
  const made: number[] = [];
  let fresh = [...prompt];
  let length = 0;
  while (made.length < count) {
    const positions = fresh.map((_, index) => length + index);
    length += fresh.length;
    const results = await session.run({
      input_ids: integers(fresh),
      attention_mask: integers(Array(length).fill(1)),
      position_ids: integers(positions),
      ...past,
    });
    const logits = results['logits']!.data as Float32Array;
    const classes = results['logits']!.shape[2]!;
    const last = logits.subarray(logits.length - classes);
    const best = last.reduce((top, value, index) => (value > last[top]! ? index : top), 0);
    made.push(best);
    fresh = [best];
    past = Object.fromEntries(
      Object.entries(results)
        .filter(([name]) => name !== 'logits')
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
  }
  return made;
}
