import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { throwIfCancelled } from '../../../protocol/errors';
import type { OutputFormat } from '../../../protocol/jobs';
import type { LatencyReport, LayerReport, Verification } from '../../../protocol/report';
import type { ModelSource } from '../../models/modelSource';
import { layerReports } from '../../outputs/layerReports';
import { PlannedStore } from '../../outputs/planned/plannedStore';
import { verifyOutput } from '../../outputs/verification/verifyOutput';
import { findWriter } from '../../outputs/writers';
import type { WorkContext } from '../../runtime/workContext';
import { storeLimit } from '../planning/storeLimit';
import { planTrained, trainedWeights } from './planTrained';

/** A trained model to be written in one format. */
export interface ExportLearnedRequest {
  /** The model before training; closed by the caller. */
  readonly source: ModelSource;
  /** By name on disk. */
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  /** Float tensors that were trained, in the order in which they are stored, by name on disk. */
  readonly rest: ReadonlyMap<string, Float32Array>;
  /** Store the rest as float16. The format hf keeps the types of the source; the numbers are rounded all the same. */
  readonly halfRest: boolean;
  readonly format: OutputFormat;
  /** The temporary output folder. */
  readonly folder: string;
  readonly context: WorkContext;
}

/** What was written, and how it was proven. */
export interface ExportedLearned {
  /** Relative to the folder; `.` for a directory that is a model itself. */
  readonly primary: string;
  readonly verification: Verification;
  readonly latency?: LatencyReport;
  readonly loadedBytes?: number;
  readonly layers: readonly LayerReport[];
}

/**
 * Writes a trained model with learned widths in one format and verifies it as every output is: each tensor's bytes decode to what was planned, blocks and
 * whole model give the outputs of those values. `relativeError` of a layer is the difference of what was written to what was learned: 0 but for `onnx-fast`,
 * which rounds again. A failed verification is reported, not thrown.
 * Errors: `unsupported` where the format cannot hold the tensors, `invalid-argument`, `cancelled`.
 */
export async function exportLearned(request: ExportLearnedRequest): Promise<ExportedLearned> {
  const { source, format, folder, context } = request;
  throwIfCancelled(context.signal);
  const writer = findWriter(format);
  writer.check(source, new Map(), { trained: true });
  const planned = new PlannedStore(folder, storeLimit(context.memoryLimit));
  try {
    await planTrained(request, writer, planned, context);
    const compressed = planned.entries().filter(({ layout }) => layout.kind !== 'plain');
    writer.check(source, new Map(compressed.map((entry) => [entry.name, entry])), { trained: true });
    const stored = new Map<string, number>();
    const written = await writer.write({
      source,
      planned,
      folder,
      signal: context.signal,
      stored: (name, bytes) => stored.set(name, bytes),
      note: context.note,
    });
    const { verification, latency } = await verifyOutput({
      source,
      planned,
      folder,
      written,
      writer,
      context,
      trained: trainedWeights(request),
      // As for round to nearest: independent errors add as squares, with room for what multiplies them.
      blockErrorLimit: (weightErrors) => 4 * Math.sqrt(weightErrors.reduce((sum, error) => sum + error * error, 0)),
    });
    return {
      primary: written.primary,
      verification,
      // The archive and the dequantised model run as the float model does.
      ...(latency === undefined || writer.runsAsFloat ? {} : { latency }),
      ...(written.loadedBytes === undefined ? {} : { loadedBytes: written.loadedBytes }),
      layers: layerReports(source, planned, writer, inOrderOf(request.learned, stored, planned), written),
    };
  } finally {
    await planned.dispose();
  }
}

/** Bytes of the learned tensors in the order in which they were learned; those that the format keeps as float values as well. */
function inOrderOf(
  learned: ReadonlyMap<string, LearnedTensor>,
  stored: ReadonlyMap<string, number>,
  planned: PlannedStore,
): ReadonlyMap<string, number> {
  return new Map([...learned.keys()].map((name) => [name, stored.get(name) ?? Math.ceil((planned.entry(name)?.size.codeBits ?? 0) / 8)]));
}
