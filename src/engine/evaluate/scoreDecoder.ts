import { throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { BlockRunner } from '../blocks/blockRunner';
import { embedTokens } from '../blocks/embedTokens';
import { HeadLoss } from '../blocks/headLoss';
import { HiddenStates } from '../blocks/hiddenStates';
import { walkBlocks } from '../blocks/walkBlocks';
import { residentWeights } from '../models/residentWeights';
import type { WeightReader } from '../models/weightReader';
import type { WorkContext } from '../runtime/workContext';
import { inputIds, targetIds, type TextWindows } from '../text/windows';
import type { ScoringPlan } from './scoringPlan';

/** What a decoder is scored on. */
export interface DecoderScoring {
  readonly weights: WeightReader;
  readonly config: DecoderConfig;
  readonly windows: TextWindows;
  readonly bos: number | undefined;
  readonly plan: ScoringPlan;
}

/**
 * Sum of the losses (nats, float64) over all scored tokens of all windows, block by block: the hidden states of a group of windows
 * go through one block, then the next one's weights are read. Memory is one block, the group's hidden states and one run's
 * temporaries, whatever the model's size; weights stay resident if the plan says that they fit.
 */
export async function scoreDecoder(
  { weights, config, windows, bos, plan }: DecoderScoring,
  context: Pick<WorkContext, 'runtime' | 'signal' | 'progress'>,
): Promise<{ readonly loss: number; readonly tokens: number }> {
  const { runtime, signal, progress } = context;
  const reader = plan.keepWeights ? residentWeights(weights) : weights;
  const runner = new BlockRunner(config, context, { windowsPerRun: plan.windowsPerRun, resident: plan.keepWeights });
  const head = await HeadLoss.create(runtime, config, plan);
  const length = bos === undefined ? windows.window - 1 : windows.window;
  let loss = 0;
  try {
    for (let first = 0; first < windows.count; first += plan.windowsPerGroup) {
      const count = Math.min(plan.windowsPerGroup, windows.count - first);
      const tell = (share: number) =>
        progress({ phase: 'Scoring text', done: Math.floor(first + share * count), total: windows.count, unit: 'windows' });
      const states = await embedTokens(reader, config, inputIds(windows, first, count, bos), plan.wholeEmbedding);
      const hidden = HiddenStates.inMemory({ windows: count, length, hiddenSize: config.hiddenSize }, states);
      await walkBlocks({
        runner,
        config,
        weights: reader,
        hidden,
        propagate: 'source',
        progress: (block, share) => tell((block + share) / (config.layers + 1)),
      });
      throwIfCancelled(signal);
      loss += await head.score({
        weights: reader,
        hidden: states,
        targets: targetIds(windows, first, count, bos),
        progress: (share) => tell((config.layers + share) / (config.layers + 1)),
        signal,
      });
    }
  } finally {
    await runner.release();
    await head.release();
  }
  progress({ phase: 'Scoring text', done: windows.count, total: windows.count, unit: 'windows' });
  return { loss, tokens: windows.count * length };
}
