import { formatTemperature, parseTemperatures, type TemperatureSchedule } from '../../../common/temperatureSchedule';
import type { CalibrateSpec } from '../../../protocol/calibration';
import { LoomweightError } from '../../../protocol/errors';
import type { TextModel } from '../../generate/openTextModel';
import type { CalibrationSource, SourceSequence } from './source';

/** Sequences at the same time, fewer where their keys and values would take more memory. */
const mostSequences = 32;
const cacheBytes = 256e6;

/**
 * The model's own text: sequences from the start token alone. Behind an end token the next document starts in the same sequence. Source: Williams, Chrysostomou, Aletras, "Self-calibration for
 * Language Model Quantization and Pruning", 2025.
 */
export const selfSource: CalibrationSource = {
  runsModel: true,
  describe: ({ spec, model: { ends, beginning } }) => {
    const start = startOf(beginning);
    const packed =
      ends.length === 0 ? 'the model has no end token: each sequence is one document' : 'behind an end token the next document starts';
    return [
      `written by the model from BOS ${start.id} (${start.source}) alone`,
      packed,
      `temperature ${schedulesOf(spec).map(formatTemperature).join(', ')}`,
    ];
  },
  batch: (model, length) => Math.max(1, Math.min(mostSequences, Math.floor(cacheBytes / (length * model.cacheBytes)))),
  sequences: async ({ spec, model, length, context }) => {
    const start = startOf(model.beginning).id;
    const { samples, topK, topP, repetitionPenalty } = spec;
    const limits = {
      ...(topK !== undefined && { topK }),
      ...(topP !== undefined && { topP }),
      ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    };
    const schedules = schedulesOf(spec);
    const scheduleOf = (sequence: number) => schedules[sequence % schedules.length] as TemperatureSchedule;
    const generator = await model.generator(
      { sampling: { greedy: false, ...limits }, end: { kind: 'pack', ends: model.ends, start }, logProbabilities: true },
      context,
    );
    const { progress, signal, seed } = context;
    try {
      const made: SourceSequence[] = [];
      const batch = selfSource.batch(model, length);
      let tokens = 0;
      for (let first = 0; first < samples; first += batch) {
        const numbers = Array.from({ length: Math.min(batch, samples - first) }, (_, row) => first + row);
        const probabilities: number[][] = numbers.map(() => []);
        const rows = await generator.generate({
          prompts: numbers.map(() => [start]),
          tokens: length - 1,
          seed,
          firstSequence: first,
          temperatures: numbers.map(scheduleOf),
          signal,
          onLogProbabilities: (values) => values.forEach((value, index) => (probabilities[index % numbers.length] as number[]).push(value)),
          onTokens: (drawn) => {
            tokens += drawn.length * numbers.length;
            progress({ phase: 'Generating', done: tokens, total: samples * (length - 1), unit: 'tokens' });
          },
        });
        for (const [row, ids] of rows.entries())
          made.push({
            ids: [start, ...ids],
            logProbabilities: probabilities[row] as number[],
            origin: { temperature: formatTemperature(scheduleOf(first + row)), ...limits },
          });
      }
      return made;
    } finally {
      await generator.release();
    }
  },
};

function startOf(beginning: TextModel['beginning']): { readonly id: number; readonly source: string } {
  if (beginning) return beginning;
  throw new LoomweightError(
    'unsupported',
    'The source self requires a start token that the model can write from, but neither tokenizer_config.json nor config.json names one. ' +
      'Set bos_token_id in config.json, or use another source.',
    {},
  );
}

function schedulesOf({ temperature = '1' }: Pick<CalibrateSpec, 'temperature'>): readonly TemperatureSchedule[] {
  const schedules = parseTemperatures(temperature);
  if (schedules) return schedules;
  throw new LoomweightError('invalid-argument', `The temperature '${temperature}' cannot be read.`, { temperature });
}
