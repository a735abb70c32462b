import { formatTemperature, parseTemperatures, type TemperatureSchedule } from '../../../common/temperatureSchedule';
import type { CalibrateSpec } from '../../../protocol/calibration';
import { LoomweightError } from '../../../protocol/errors';
import { checkLogProbabilities } from '../../generate/generator';
import type { TextModel } from '../../generate/openTextModel';
import type { SourceRequest, SourceSequence } from './source';

/** Sequences at the same time, fewer where their keys and values would take more memory. */
const mostSequences = 32;
const cacheBytes = 256e6;

/** As `CalibrationSource.batch`. */
export function writingBatch(model: TextModel, length: number): number {
  return Math.max(1, Math.min(mostSequences, Math.floor(cacheBytes / (length * model.cacheBytes))));
}

/** How tokens are drawn, for the report. Errors: `invalid-argument` for a temperature that cannot be read. */
export function describeWriting({ spec, model }: Pick<SourceRequest, 'spec' | 'model'>): readonly string[] {
  const { topK, topP, repetitionPenalty } = spec;
  return [
    model.ends.length === 0 ? 'the model has no end token: each sequence is one document' : 'behind an end token the next document starts',
    `temperature ${schedulesOf(spec).map(formatTemperature).join(', ')}`,
    ...(topK === undefined ? [] : [`from the ${topK} most probable tokens`]),
    ...(topP === undefined ? [] : [`from the most probable tokens that together reach ${topP}`]),
    ...(repetitionPenalty === undefined ? [] : [`repetition penalty ${repetitionPenalty}`]),
  ];
}

/** Lets the model continue prompts of one length to sequences of `length` tokens, each with numbers of its own. */
export async function writeSequences(
  prompts: readonly (readonly number[])[],
  { spec, model, length, context }: SourceRequest,
): Promise<readonly SourceSequence[]> {
  const { topK, topP, repetitionPenalty } = spec;
  const limits = {
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
  };
  const schedules = schedulesOf(spec);
  const end = { kind: 'pack' as const, ends: model.ends, start: model.beginning?.id };
  const generator = await model.generator({ sampling: { greedy: false, ...limits }, end, logProbabilities: true }, context);
  const { progress, signal, seed } = context;
  try {
    const made: SourceSequence[] = [];
    const batch = writingBatch(model, length);
    const total = prompts.reduce((sum, prompt) => sum + length - prompt.length, 0);
    let tokens = 0;
    for (let first = 0; first < prompts.length; first += batch) {
      const given = prompts.slice(first, first + batch);
      const temperatures = given.map((_, row) => schedules[(first + row) % schedules.length] as TemperatureSchedule);
      const probabilities: number[][] = given.map(() => []);
      const rows = await generator.generate({
        prompts: given,
        tokens: length - (given[0] as readonly number[]).length,
        seed,
        firstSequence: first,
        temperatures,
        signal,
        onLogProbabilities: (values) => {
          checkLogProbabilities(values);
          for (const [index, value] of values.entries()) (probabilities[index % given.length] as number[]).push(value);
        },
        onTokens: (drawn) => {
          tokens += drawn.length * given.length;
          progress({ phase: 'Generating', done: tokens, total, unit: 'tokens' });
        },
      });
      for (const [row, ids] of rows.entries())
        made.push({
          ids: [...(given[row] as readonly number[]), ...ids],
          logProbabilities: probabilities[row] as readonly number[],
          origin: { temperature: formatTemperature(temperatures[row] as TemperatureSchedule), ...limits },
        });
    }
    return made;
  } finally {
    await generator.release();
  }
}

function schedulesOf({ temperature = '1' }: Pick<CalibrateSpec, 'temperature'>): readonly TemperatureSchedule[] {
  const schedules = parseTemperatures(temperature);
  if (schedules) return schedules;
  throw new LoomweightError('invalid-argument', `The temperature '${temperature}' cannot be read.`, { temperature });
}
