import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { formatBytes } from '../../../common/units';
import { containerWeights } from '../../models/decoderWeights';
import type { ModelSource } from '../../models/modelSource';
import { DecoderRuns } from './decoderRuns';
import { measuring, type MeasureContext } from './measure';
import { sampleLimits, sampleNote, tokenSample } from './tokenSample';

/** Multiplications a second in a pass, on the low side. */
const productsPerSecond = 10e9;

/** Measures that run the model need a decoder that can be built. */
export function needsRuns(source: ModelSource): true | string {
  if (source.decoder) return true;
  return `it runs the model, but ${source.container.path} is not a language model with a known configuration; use --sensitivity error`;
}

/** Time and memory of some passes over the sample. */
export function runEstimate(source: ModelSource, passes: number): { readonly seconds: number; readonly hostMemoryBytes: number } {
  if (!source.decoder) return { seconds: 0, hostMemoryBytes: 0 };
  const { config, architecture } = source.decoder;
  const { tokens, probabilityBytes } = sampleLimits(config);
  const weights = architecture.expectedTensors(config).reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const hidden = 4 * tokens * config.hiddenSize * (config.layers + 1);
  return {
    seconds: 1 + (passes * tokens * weights) / productsPerSecond,
    hostMemoryBytes: 180e6 + 4 * weights + hidden + 4 * probabilityBytes,
  };
}

/** The float model run once over the calibration sample. */
export async function startRuns(
  context: MeasureContext,
): Promise<{ readonly runs: DecoderRuns; readonly moments: ReadonlyMap<string, Float32Array> }> {
  const { source, spec, runtime, signal, memoryLimit } = context;
  const { hostMemoryBytes } = runEstimate(source, 1);
  if (memoryLimit !== undefined && hostMemoryBytes > memoryLimit)
    throw new LoomweightError(
      'insufficient-memory',
      `Measuring sensitivity needs ${formatBytes(hostMemoryBytes)}, but the limit is ${formatBytes(memoryLimit)}. Raise --max-memory, or use --sensitivity error, which does not run the model.`,
      { needed: hostMemoryBytes, limit: memoryLimit, shortfall: hostMemoryBytes - memoryLimit },
    );
  const { config } = source.decoder!;
  const sample = await tokenSample(source.container, config, spec.calibration, spec.seed ?? 0);
  context.note(sampleNote(sample, spec.calibration));
  const runs = new DecoderRuns(containerWeights(source.container), config, sample, { runtime, signal });
  try {
    const moments = await runs.inputMoments((block) => measuring(context, block, config.layers));
    return { runs, moments };
  } catch (error) {
    await runs.release();
    throw error;
  }
}
