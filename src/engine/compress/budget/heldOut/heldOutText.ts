import type { DecoderConfig } from '../../../architectures/architecture';
import { scoreDecoder } from '../../../evaluate/scoreDecoder';
import { planScoring } from '../../../evaluate/scoringPlan';
import { containerWeights } from '../../../models/decoderWeights';
import { plannedWeights } from '../../../outputs/planned/plannedWeights';
import type { MeasureContext } from '../measure';
import { heldOutWindows } from '../tokenSample';
import type { HeldOut } from './types';

/** Windows of the calibration text between those of the sample, scored as by `evaluate`: next-token loss. */
export async function heldOutText(
  { source, runtime, signal, memoryLimit }: MeasureContext,
  config: DecoderConfig,
  calibration: string,
): Promise<HeldOut | undefined> {
  const windows = await heldOutWindows(source.container, config, calibration);
  if (!windows) return undefined;
  const plan = planScoring(config, windows, memoryLimit);
  const float = containerWeights(source.container);
  return {
    description: `${windows.count * windows.window} held-out tokens`,
    loss: async (planned) => {
      const weights = planned ? plannedWeights(planned, float) : float;
      const scoring = { weights, config, windows, bos: config.bosTokenId, plan };
      const { loss, tokens } = await scoreDecoder(scoring, { runtime, signal, progress: () => undefined });
      return loss / tokens;
    },
    release: async () => undefined,
  };
}
