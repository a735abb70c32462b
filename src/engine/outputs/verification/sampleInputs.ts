import { SeededRandom } from '../../../common/random';
import type { DecoderConfig } from '../../architectures/architecture';
import type { RuntimeTensor } from '../../runtime/types';

/** Tokens of the sample that results are checked on. */
export const sampleTokens = 32;

/** A fixed sample: the start token, where there is one, then tokens drawn with the seed. */
export function sampleIds(config: DecoderConfig, seed: number, count = sampleTokens): readonly number[] {
  const random = new SeededRandom(seed + 1);
  const ids = Array.from({ length: count }, () => random.nextBelow(config.vocabularySize));
  if (config.bosTokenId !== undefined && config.bosTokenId < config.vocabularySize) ids[0] = config.bosTokenId;
  return ids;
}

/** Feeds of a language model with an empty cache, batch 1. */
export function languageModelFeeds(config: DecoderConfig, ids: readonly number[]): Readonly<Record<string, RuntimeTensor>> {
  const integers = (values: readonly number[]): RuntimeTensor => ({
    dtype: 'int64',
    shape: [1, values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const feeds: Record<string, RuntimeTensor> = {
    input_ids: integers(ids),
    attention_mask: integers(ids.map(() => 1)),
    position_ids: integers(ids.map((_, index) => index)),
  };
  for (let block = 0; block < config.layers; block += 1)
    for (const part of ['key', 'value'])
      feeds[`past_key_values.${block}.${part}`] = {
        dtype: 'float32',
        shape: [1, config.keyValueHeads, 0, config.headSize],
        data: new Float32Array(0),
      };
  return feeds;
}
