import { LoomweightError } from '../../../protocol/errors';
import { randomOfSequence } from '../../generate/uniforms';
import type { CalibrationSource } from './source';

/** Uniform random tokens of the whole vocabulary behind the start token: the control that says what a text is worth. */
export const randomSource: CalibrationSource = {
  name: 'random',
  written: () => 0,
  describe: () => ['uniform random tokens of the whole vocabulary'],
  batch: () => 1,
  sequences: ({ spec: { samples }, model: { vocabularySize, beginning }, length, context: { seed } }) => {
    if (vocabularySize === undefined)
      throw new LoomweightError(
        'unsupported',
        'Random tokens require the size of the vocabulary: config.json must be beside the model, with vocab_size.',
        {},
      );
    const start = beginning === undefined ? [] : [beginning.id];
    return Promise.resolve(
      Array.from({ length: samples }, (_, sequence) => {
        const random = randomOfSequence(seed, sequence);
        const drawn = Array.from({ length: length - start.length }, () => random.nextBelow(vocabularySize));
        return { ids: [...start, ...drawn], origin: {} };
      }),
    );
  },
};
