import path from 'node:path';
import { SeededRandom } from '../../../common/random';
import { LoomweightError } from '../../../protocol/errors';
import { hashFiles } from '../../models/hashFile';
import { checkTokens } from '../../text/checkTokens';
import { readTextFile } from '../../text/textLines';
import type { CalibrationSource, SourceRequest, SourceSequence } from './source';
import { describeWriting, writeSequences, writingBatch } from './writeSequences';

/** Share of the continuations that is kept: those that the model finds most probable. */
const keptShare = 0.8;

/** Pieces of the user's own text behind the start token, spread over it at random without overlap. */
export const textSource: CalibrationSource = {
  name: 'text',
  describe: () => ['pieces of the text, spread over it at random without overlap, each behind the start token where the model has one'],
  written: () => 0,
  batch: () => 1,
  sequences: async (request) => cutText(request, request.spec.samples),
};

/**
 * The first tokens of pieces of the user's text, continued by the model; of the continuations, those with the lowest perplexity under the model are kept. Source: Ji et al., "Beware of Calibration
 * Data for Pruning Large Language Models", 2025.
 */
export const prefixSource: CalibrationSource = {
  name: 'prefix',
  describe: (request) => {
    const { prefix = 0 } = request.spec;
    if (prefix + 1 >= request.length)
      throw new LoomweightError('invalid-argument', `A prefix of ${prefix} tokens leaves none to write in samples of ${request.length}.`, {
        prefix,
        length: request.length,
      });
    return [
      `the first ${prefix} tokens of pieces of the text, continued by the model`,
      `of the continuations, ${100 * keptShare} % are kept: those with the lowest perplexity under the model`,
      ...describeWriting(request),
    ];
  },
  written: ({ spec, length }) => wantedOf(spec.samples) * (length - (spec.prefix ?? 0)),
  batch: writingBatch,
  sequences: async (request) => {
    const { samples, prefix = 0 } = request.spec;
    const pieces = await cutText(request, wantedOf(samples));
    const start = request.model.beginning === undefined ? 0 : 1;
    const written = await writeSequences(
      pieces.map(({ ids }) => ids.slice(0, start + prefix)),
      request,
    );
    const kept = mostProbable(written, Math.min(samples, Math.ceil(keptShare * written.length)));
    return kept.map((index) => {
      const sequence = written[index] as SourceSequence;
      return { ...sequence, origin: { ...sequence.origin, ...pieces[index]?.origin, prefix } };
    });
  },
};

/** Places of the `count` sequences whose written tokens have the largest mean log probability, in their order; of equal ones the first. */
export function mostProbable(sequences: readonly Pick<SourceSequence, 'logProbabilities'>[], count: number): readonly number[] {
  const means = sequences.map(
    ({ logProbabilities = [] }) => logProbabilities.reduce((sum, value) => sum + value, 0) / logProbabilities.length,
  );
  return [...sequences.keys()]
    .sort((a, b) => (means[b] as number) - (means[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

function wantedOf(samples: number): number {
  return Math.ceil(samples / keptShare);
}

/** Up to `most` pieces of the text in its order, chosen by the seed. Errors: `invalid-argument` for a text that does not fill one. */
async function cutText({ spec, model, length, context }: SourceRequest, most: number): Promise<readonly SourceSequence[]> {
  const start = model.beginning === undefined ? [] : [model.beginning.id];
  const own = length - start.length;
  const ids = model.tokenizer.encode(await readTextFile(spec.source));
  if (model.vocabularySize !== undefined) checkTokens(ids, model.vocabularySize);
  const available = Math.floor(ids.length / own);
  if (available === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The text ${spec.source} has ${ids.length} tokens, but one sample needs ${own}. Use a longer text or shorter samples.`,
      { path: spec.source, tokens: ids.length, needed: own },
    );
  if (available < most) context.note(`The text fills ${available} of ${most} pieces of ${own} tokens.`);
  const [fileHash] = await hashFiles([spec.source], undefined, context.signal);
  return chosenPlaces(available, most, context.seed).map((place) => ({
    ids: [...start, ...ids.slice(place * own, (place + 1) * own)],
    origin: { file: path.basename(spec.source), fileHash: fileHash as string, position: place * own },
  }));
}

/** `count` of the first `available` whole numbers, ascending: the beginning of a seeded shuffle. */
function chosenPlaces(available: number, count: number, seed: number): readonly number[] {
  const random = new SeededRandom(seed);
  const places = Array.from({ length: available }, (_, place) => place);
  const taken = Math.min(count, available);
  for (let index = 0; index < taken; index += 1) {
    const other = index + random.nextBelow(available - index);
    [places[index], places[other]] = [places[other] as number, places[index] as number];
  }
  return places.slice(0, taken).sort((a, b) => a - b);
}
