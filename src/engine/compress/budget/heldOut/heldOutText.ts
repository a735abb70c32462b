import type { DecoderConfig } from '../../../architectures/architecture';
import { scoreDecoder } from '../../../evaluate/scoreDecoder';
import { planScoring } from '../../../evaluate/scoringPlan';
import type { TensorContainer } from '../../../formats/container';
import { transposeInto } from '../../../kernels/host/transpose';
import type { CompressPlan } from '../../plan';
import type { CompressSource } from '../../../models/modelSource';
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
      const container = withRounded(source, chosen);
      const scoring = { container, config, windows, bos: config.bosTokenId, plan };
      const { loss, tokens } = await scoreDecoder(scoring, runtime, signal ? { signal } : {});
      return loss / tokens;
    },
    release: async () => undefined,
  };
}

/** The source with the tensors of the plan rounded, as float32; the one that was read last stays in memory, because it is read in pieces. */
function withRounded(source: CompressSource, plan: CompressPlan): TensorContainer {
  const { container } = source;
  let last: { readonly name: string; readonly bytes: Uint8Array } | undefined;
  const rounded = async (name: string): Promise<Uint8Array> => {
    if (last?.name === name) return last.bytes;
    const planned = plan.get(name)!;
    const [rows, columns] = planned.tensor.shape;
    const matrix = await roundedWeights(source, planned);
    const stored = source.tensors.get(name)?.transposed ? transposeInto(matrix, columns, 0, rows, new Float32Array(matrix.length)) : matrix;
    last = { name, bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength) };
    return last.bytes;
  };
  const { format, path, metadata, diagnostics } = container;
  return {
    format,
    path,
    metadata,
    diagnostics,
    tensors: new Map(
      [...container.tensors].map(([name, entry]) => {
        const planned = plan.get(name);
        return [
          name,
          planned ? { ...entry, dtype: 'float32', bytes: 4 * planned.tensor.shape[0] * planned.tensor.shape[1] } : entry,
        ] as const;
      }),
    ),
    read: async (name, range) => {
      if (!plan.has(name)) return container.read(name, range);
      const bytes = await rounded(name);
      return range ? bytes.subarray(range.offset, range.offset + range.length) : bytes;
    },
    close: async () => undefined,
  };
}
