import { LoomweightError, throwIfCancelled } from '../../src/protocol/errors';
import type { DecoderConfig } from '../../src/engine/architectures/architecture';
import type { RuntimeTensor, Session } from '../../src/engine/runtime/types';

/** What greedy generation may be told. */
export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Generation ends before one of these. */
  readonly endTokenIds?: readonly number[];
  readonly signal?: AbortSignal;
}

/**
 * Continues token ids with the most probable token each time (the lowest id among equals), with the key and value cache: the prompt in one
 * run, then one token a run. `session` has Optimum's names. Gives the new tokens only.
 */
export async function generateGreedy(
  session: Session,
  config: DecoderConfig,
  prompt: readonly number[],
  { maxNewTokens, endTokenIds = [], signal }: GenerateOptions,
): Promise<readonly number[]> {
  if (prompt.length === 0) throw new LoomweightError('invalid-argument', 'Generating needs at least one token to start from.', {});
  let cache = emptyCache(config);
  let fed: readonly number[] = prompt;
  const made: number[] = [];
  while (made.length < maxNewTokens) {
    throwIfCancelled(signal);
    const past = made.length === 0 ? 0 : prompt.length + made.length - 1;
    const outputs = await session.run({
      input_ids: int64(fed),
      attention_mask: int64(Array.from({ length: past + fed.length }, () => 1)),
      position_ids: int64(fed.map((_, index) => past + index)),
      ...cache,
    });
    const token = largestOfLastRow(outputs['logits'] as RuntimeTensor);
    if (endTokenIds.includes(token)) break;
    made.push(token);
    fed = [token];
    cache = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), tensor]),
    );
  }
  return made;
}

/** A cache of no tokens for one sequence. */
export function emptyCache(config: DecoderConfig): Record<string, RuntimeTensor> {
  const cache: Record<string, RuntimeTensor> = {};
  for (let block = 0; block < config.layers; block += 1)
    for (const kind of ['key', 'value'])
      cache[`past_key_values.${block}.${kind}`] = {
        dtype: 'float32',
        shape: [1, config.keyValueHeads, 0, config.headSize],
        data: new Float32Array(0),
      };
  return cache;
}

function int64(values: readonly number[]): RuntimeTensor {
  return { dtype: 'int64', shape: [1, values.length], data: BigInt64Array.from(values.map(BigInt)) };
}

function largestOfLastRow({ data, shape }: RuntimeTensor): number {
  const vocabulary = shape.at(-1) as number;
  const row = (data as Float32Array).subarray(data.length - vocabulary);
  let best = 0;
  for (let index = 1; index < vocabulary; index += 1) if ((row[index] as number) > (row[best] as number)) best = index;
  return best;
}
