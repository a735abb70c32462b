import type { CompressSpec } from '../../../protocol/jobs';
import { formatSeconds } from '../../../common/units';
import { blockBytes, runBytesPerToken, tapBytes } from '../../blocks/blockMemory';
import { hiddenBytes } from '../../blocks/hiddenStates';
import type { ModelSource } from '../../models/modelSource';
import type { CompressPlan } from '../plan';
import { calibrationSize } from './calibrationWindows';
import { hiddenLimit } from './hiddenLimit';
import { requireDecoder } from './requireDecoder';

/** Multiply-adds of the runtime a second on one core, on the low side. */
const productsPerSecond = 2e10;

/** What planning block after block takes, beyond what every compression takes. */
export interface CalibratingEstimate {
  readonly hostMemoryBytes: number;
  readonly diskBytes: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

const nothing: CalibratingEstimate = { hostMemoryBytes: 0, diskBytes: 0, seconds: 0, notes: [] };

/**
 * Memory, disk and time of gathering statistics and of a method that plans from them: one block twice (as the runner feeds it and as the method gets it), its statistics, what planning
 * its largest tensor takes, and hidden states up to their share of the limit. Nothing for methods that plan tensor by tensor. Errors: those of `calibrationSize` and `requireDecoder`.
 */
export function estimateCalibrating(
  source: ModelSource,
  plan: CompressPlan,
  spec: Pick<CompressSpec, 'samples' | 'window'>,
  memoryLimit: number | undefined,
): CalibratingEstimate {
  const quantizer = [...plan.values()][0]?.quantizer;
  if (quantizer?.unit !== 'block') return nothing;
  const { config } = requireDecoder(source, quantizer);
  const { windows, length } = calibrationSize(config, spec);
  const hidden = hiddenBytes({ windows, length, hiddenSize: config.hiddenSize });
  const resident = Math.min(hidden, hiddenLimit(memoryLimit));
  const taps = quantizer.needs.map((kind) => ({ kind }));
  const costs = [...plan.values()].map(({ tensor }) => quantizer.planningCost?.(tensor) ?? { bytes: 0, seconds: 0 });
  const block = blockBytes(config);
  const statistics = tapBytes(config, 0, taps);
  const weights = block / 4 + statistics / 16;
  // Each block runs for its statistics and for its outputs.
  const seconds = costs.reduce((sum, cost) => sum + cost.seconds, 0) + (2 * config.layers * windows * length * weights) / productsPerSecond;
  return {
    hostMemoryBytes:
      2 * block + statistics + Math.max(0, ...costs.map(({ bytes }) => bytes)) + resident + runBytesPerToken(config, length) * length,
    diskBytes: hidden - resident,
    seconds,
    notes: [`Calibrating on ${windows} windows of ${length} tokens takes about ${formatSeconds(seconds)} of that.`],
  };
}
