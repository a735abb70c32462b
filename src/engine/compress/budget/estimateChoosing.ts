import { formatSeconds } from '../../../common/units';
import type { CompressSpec } from '../../../protocol/jobs';
import { tableNeeds, tableNotes } from '../../evaluate/data/tableMemory';
import type { CompressPlan } from '../plan';
import type { ModelSource } from '../../models/modelSource';
import { defaultMeasure } from './chooseWidths';
import { findMeasure } from './measures';
import { triedWeights } from './optionErrors';
import { runEstimate } from './runs';

/** Roundings of a weight a second with ranges by squared error, on the low side. */
const roundingsPerSecond = 4e6;

/** What choosing widths under a budget takes before anything is written: reading, trying every option, and the measure's own runs. */
export async function estimateChoosing(
  spec: CompressSpec,
  source: ModelSource,
  plan: CompressPlan,
): Promise<{ readonly seconds: number; readonly hostMemoryBytes: number; readonly notes: readonly string[] }> {
  const measure = findMeasure(spec.sensitivity ?? defaultMeasure(source, spec));
  const own = measure.estimate(source, plan);
  let roundings = 0;
  for (const { tensor, quantizer, given } of plan.values()) {
    const options = Object.entries(quantizer.budgetChoices ?? {}).reduce(
      (count, [key, values]) => count * (given.has(key) ? 1 : values.length),
      1,
    );
    roundings += options * Math.min(triedWeights, tensor.shape[0] * tensor.shape[1]);
  }
  // The float model, the chosen widths and every further size: each is rounded whole and run over twice the sample.
  const passes = spec.calibration === undefined || spec.calibration === 'random' ? 0 : 2 + (spec.measure ?? 0);
  const weights = [...plan.values()].reduce((sum, { tensor }) => sum + tensor.shape[0] * tensor.shape[1], 0);
  const measuring = passes === 0 ? 0 : (passes * weights) / roundingsPerSecond + runEstimate(source, 2 * passes).seconds;
  const table = await tableNeeds(spec.calibration);
  const seconds = own.seconds + roundings / roundingsPerSecond + measuring;
  return {
    seconds,
    // Calibration data is read, once, before anything is measured on it.
    hostMemoryBytes: Math.max(own.hostMemoryBytes + table.kept, table.reading),
    notes: [
      `Choosing bits with the sensitivity '${measure.id}' takes about ${formatSeconds(seconds)} of that.`,
      ...tableNotes(table.reading),
    ],
  };
}
