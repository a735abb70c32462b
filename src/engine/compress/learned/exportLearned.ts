import { dequantizeLearned, learnedBits, learnedGroupSize } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { OutputFormat } from '../../../protocol/jobs';
import type { BitHistogram, LatencyReport, LayerReport, Verification } from '../../../protocol/report';
import { matrixOf } from '../../formats/archive/tensorKinds';
import type { WorkContext } from '../../runtime/workContext';
import type { ExportResult } from '../../outputs/writers/exporter';
import type { CompressPlan, TensorPlan } from '../plan';
import { defineQuantizer } from '../quantizers/quantizer';
import type { CompressSource } from '../../models/modelSource';
import { verifyResult } from '../../outputs/verification/verifyResult';
import { learnedWriters, type LearnedJob } from './learnedWriters';
import { openTrained } from './trainedSource';

/** A trained model to be written in one format. */
export interface ExportLearnedRequest {
  /** The model before training; closed by whoever opened it. */
  readonly source: CompressSource;
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
 * Writes a trained model with learned widths in one format and verifies it as every output is: each tensor's bytes decode to the learned values, blocks and
 * whole model give the outputs of those values. `relativeError` of a layer is the difference of what was written to what was learned: 0 but for `onnx-fast`,
 * which rounds anew. A failed verification is reported, not thrown.
 * Errors: `unsupported` where the format cannot hold the tensors, `invalid-argument`, `cancelled`.
 */
export async function exportLearned(request: ExportLearnedRequest): Promise<ExportedLearned> {
  const { learned, rest, halfRest, format, folder, context } = request;
  const { runtime, signal, memoryLimit, seed, note } = context;
  throwIfCancelled(signal);
  const writer = learnedWriters[format];
  writer.check(request.source, learned);
  const source = await openTrained({ source: request.source, learned, rest, halfRest }, writer.keepsTypes);
  try {
    const plan = planOf(source, learned);
    const snapped = new Map<string, { readonly bits: number; readonly relativeError: number }>();
    const bytes = new Map<string, number>();
    const job: LearnedJob = {
      source,
      learned,
      rest,
      plan,
      folder,
      signal,
      note,
      stored: (name, count) => bytes.set(name, count),
      snapped: (name, bits, relativeError) => snapped.set(name, { bits, relativeError }),
    };
    const result: ExportResult = await writer.write(job);
    const { verification, latency } = await verifyResult({
      source,
      plan: bytes.size === plan.size ? plan : new Map([...plan].filter(([name]) => bytes.has(name))),
      folder,
      result,
      runtime,
      signal,
      memoryLimit,
      seed,
      sourceIsFloat: false,
      relativeErrors: new Map([...plan.keys()].map((name) => [name, snapped.get(name)?.relativeError ?? exactError])),
      planAgain: (name) => Promise.resolve(dequantizeLearned(learned.get(name) as LearnedTensor)),
      progress: () => undefined,
      note,
    });
    const layers = [...learned.values()].map((tensor): LayerReport => {
      const histogram = histogramOf(tensor);
      const weights = tensor.levels.length;
      const stored = bytes.get(tensor.name) ?? source.tensors.get(tensor.name)!.entry.bytes;
      const kernel = snapped.get(tensor.name);
      return {
        name: tensor.name,
        shape: source.tensors.get(tensor.name)!.entry.shape,
        bits: kernel?.bits ?? meanBits(histogram),
        bitsPerWeight: (writer.dequantised ? learnedBits(tensor) : stored * 8) / Math.max(1, weights),
        weights,
        relativeError: kernel?.relativeError ?? 0,
        bytesBefore: request.source.tensors.get(tensor.name)!.entry.bytes,
        bytesAfter: stored,
        ...(kernel ? {} : { histogram }),
      };
    });
    return {
      primary: result.primary,
      verification,
      // The archive and the dequantised model run as the float model does.
      ...(latency === undefined || writer.runsAsFloat ? {} : { latency }),
      ...(result.loadedBytes === undefined ? {} : { loadedBytes: result.loadedBytes }),
      layers,
    };
  } finally {
    await source.container.close();
  }
}

/** Rounding of float32 sums in another order: what a block of exactly equal weights may differ by. */
const exactError = 1e-4;

/** Stands in a plan for what training has decided. Never registered: it plans nothing itself. */
const learnedWidths = defineQuantizer({
  id: 'learned',
  label: 'Learned widths',
  summary: 'Widths that training has decided.',
  source: { title: 'Differentiable Model Compression via Pseudo Quantization Noise', url: 'https://arxiv.org/abs/2104.09987' },
  parameters: [],
  needs: [],
  appliesTo: () => true,
  estimate: () => ({ codeBits: 0, scaleBits: 0, zeroPointBits: 0 }),
  // As for round to nearest: independent errors add as squares, with room for what multiplies them.
  blockErrorLimit: (weightErrors) => 4 * Math.sqrt(weightErrors.reduce((sum, error) => sum + error * error, 0)),
  plan: ({ tensor }) => {
    throw new LoomweightError('internal', `The widths of '${tensor.name}' were learned and cannot be planned again.`, {
      tensor: tensor.name,
    });
  },
});

function planOf(source: CompressSource, learned: ReadonlyMap<string, LearnedTensor>): CompressPlan {
  const plan = new Map<string, TensorPlan>();
  for (const [name, { entry, role }] of source.tensors) {
    const tensor = learned.get(name);
    if (!tensor) continue;
    const { rows, columns } = matrixOf(tensor.shape);
    plan.set(name, {
      tensor: { name, role, shape: [rows, columns] },
      storedShape: entry.shape,
      quantizer: learnedWidths,
      parameters: {},
      given: new Set(),
      estimate: { codeBits: learnedBits(tensor), scaleBits: 0, zeroPointBits: 0 },
    });
  }
  return plan;
}

function histogramOf(tensor: LearnedTensor): BitHistogram {
  const size = learnedGroupSize(tensor);
  const counts = new Map<number, number>();
  for (let group = 0; group < tensor.bits.length; group += 1) {
    const entries = Math.min((group + 1) * size, tensor.levels.length) - group * size;
    counts.set(tensor.bits[group] as number, (counts.get(tensor.bits[group] as number) ?? 0) + entries);
  }
  const sorted = [...counts].sort((a, b) => a[0] - b[0]);
  return { bits: sorted.map(([bits]) => bits), weights: sorted.map(([, weights]) => weights) };
}

function meanBits({ bits, weights }: BitHistogram): number {
  const total = weights.reduce((sum, count) => sum + count, 0);
  return bits.reduce((sum, width, index) => sum + width * (weights[index] as number), 0) / Math.max(1, total);
}
