import type { DecoderConfig } from '../../../architectures/architecture';
import { scoreDecoder } from '../../../evaluate/scoreDecoder';
import { planScoring } from '../../../evaluate/scoringPlan';
import { transposeInto } from '../../../kernels/host/transpose';
import type { CompressPlan } from '../../plan';
import { containerWeights } from '../../../models/decoderWeights';
import type { CompressSource } from '../../../models/modelSource';
import { readRows, type WeightReader } from '../../../models/weightReader';
import type { MeasureContext } from '../measure';
import { heldOutWindows } from '../tokenSample';
import type { HeldOut } from './types';
import { roundedWeights } from './roundedWeights';

/** Windows of the calibration text between those of the sample, scored as by `evaluate`: next-token loss. Weights are rounded as they are read. */
export async function heldOutText(
  { source, runtime, signal, memoryLimit }: MeasureContext,
  config: DecoderConfig,
  calibration: string,
): Promise<HeldOut | undefined> {
  const windows = await heldOutWindows(source.container, config, calibration);
  if (!windows) return undefined;
  const plan = planScoring(config, windows, memoryLimit);
  return {
    description: `${windows.count * windows.window} held-out tokens`,
    loss: async (chosen) => {
      const scoring = { weights: withRounded(source, chosen), config, windows, bos: config.bosTokenId, plan };
      const { loss, tokens } = await scoreDecoder(scoring, { runtime, signal, progress: () => undefined });
      return loss / tokens;
    },
    release: async () => undefined,
  };
}

/** The source with the tensors of the plan rounded; the one that was read last stays in memory, because tables are read in pieces. */
function withRounded(source: CompressSource, plan: CompressPlan): WeightReader {
  const weights = containerWeights(source.container);
  let last: { readonly name: string; readonly values: Float32Array } | undefined;
  const rounded = async (name: string): Promise<Float32Array> => {
    if (last?.name === name) return last.values;
    const planned = plan.get(name)!;
    const [rows, columns] = planned.tensor.shape;
    const matrix = await roundedWeights(source, planned);
    const stored = source.tensors.get(name)?.transposed ? transposeInto(matrix, columns, 0, rows, new Float32Array(matrix.length)) : matrix;
    last = { name, values: stored };
    return stored;
  };
  return {
    shapeOf: (name) => weights.shapeOf(name),
    read: async (name, target) => {
      if (!plan.has(name)) return weights.read(name, target);
      const values = await rounded(name);
      if (target?.length !== values.length) return values;
      target.set(values);
      return target;
    },
    readRows: async (name, first, count) => {
      if (!plan.has(name)) return readRows(weights, name, first, count);
      const columns = weights.shapeOf(name)[1] as number;
      return (await rounded(name)).subarray(first * columns, (first + count) * columns);
    },
  };
}
