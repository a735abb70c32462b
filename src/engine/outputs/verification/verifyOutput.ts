import { join } from 'node:path';
import type { LatencyReport, OutputChange, Verification, VerificationCheck } from '../../../protocol/report';
import { transposeInto } from '../../kernels/host/transpose';
import { containerWeights } from '../../models/decoderWeights';
import type { WeightReader } from '../../models/weightReader';
import type { PlannedEntry, PlannedStore } from '../planned/plannedStore';
import type { OutputReader } from '../writers/outputWriter';
import type { VerificationRequest } from './verificationRequest';
import { verdictFor, weightChange } from './outputChange';
import { verifyBlocks } from './verifyBlocks';
import { verifyBytes } from './verifyBytes';
import { verifyGraphFile } from './verifyGraphFile';
import { verifyLogits } from './verifyLogits';
import { verifyOnnxModel } from './verifyOnnxModel';
import { roundingOf, verifyValues } from './verifyValues';
import { fitsWhole } from './wholeModelMemory';

/** Rounding of float32 sums in another order: what a block of exactly equal weights may differ by. */
const exactError = 1e-4;

/**
 * Proves a finished output in three steps: every stored tensor decodes to what was planned, with the error that was planned (and an ONNX graph is sound); every block stays within the method's limit; the whole
 * model gives the logits of the planned weights. What does not fit in memory is left out, and the scope says so.
 */
export async function verifyOutput(
  request: VerificationRequest,
): Promise<{ readonly verification: Verification; readonly latency: LatencyReport | undefined }> {
  const { source, planned, written, context } = request;
  context.progress({ phase: 'Reading back', done: 0, total: 1, unit: 'steps' });
  const bytes = await verifyBytes(request);
  const checks: VerificationCheck[] = [bytes];
  if (bytes.passed && written.layouts.size > 0) checks.push(await verifyValues(request));
  let scope: Verification['scope'] = 'bytes';
  let latency: LatencyReport | undefined;
  let change: OutputChange | undefined;
  // A damaged file is not run: its numbers would only hide the cause.
  if (checks.every(({ passed }) => passed)) {
    if (written.primary.endsWith('.onnx')) {
      const original = source.container.format === 'onnx' ? source.container.path : undefined;
      const graph = await verifyGraphFile(join(request.folder, written.primary), original);
      if (graph) checks.push(graph);
    }
    const changes = planned.size > 0;
    const fits = fitsWhole(source, request.writer, { memoryLimit: context.memoryLimit, residentBytes: planned.residentBytes, changes });
    if (source.decoder) {
      // Bytes that equal the source's leave nothing to compare block by block.
      if (planned.size > 0) {
        checks.push(await blocksOf(request));
        scope = 'blocks';
      }
      if (fits) {
        const whole = await verifyLogits(request, source.decoder);
        checks.push(...whole.checks);
        ({ latency, change } = whole);
        scope = 'whole';
      } else
        context.note(
          `The whole model and its float original do not fit in memory together, so ${planned.size > 0 ? 'it was checked block by block' : 'only its bytes were checked'}.`,
        );
    } else if (source.container.format === 'onnx' && !fits)
      context.note('The model and its result do not fit in memory together, so only their bytes were checked.');
    else if (source.container.format === 'onnx') {
      const whole = await verifyOnnxModel(request);
      if (whole) {
        checks.push(...whole.checks);
        ({ latency, change } = whole);
        if (whole.shows) scope = 'whole';
      }
    } else if (!source.notRunnable) context.note('The file has no graph, so only its bytes were checked.');
  }
  if (scope !== 'whole' && !request.trained) change ??= weightChange(planned);
  const verdict = verdictFor(checks, change);
  return { verification: { passed: verdict !== 'failed', verdict, ...(change ? { change } : {}), scope, checks }, latency };
}

async function blocksOf(request: VerificationRequest): Promise<VerificationCheck> {
  const { source, planned, written, context, trained, blockErrorLimit } = request;
  const base = trained ?? containerWeights(source.container);
  const reader = await written.open();
  try {
    return await verifyBlocks(
      {
        config: source.decoder!.config,
        source: base,
        result: writtenWeights(planned, reader, base),
        // Plain values that a transform changed belong to the result as well.
        compressed: new Set(planned.entries().map(({ name }) => name)),
        // Changed plain values alone differ by rounding at least.
        limitOf: (names) => Math.max(exactError, blockErrorLimit(names.flatMap((name) => errorsOf(request, name)))),
      },
      context,
    );
  } finally {
    await reader.close();
  }
}

/** How much a tensor of a block may differ from that of the source: as planned; what was trained in float32 is also rounded to the type in which it is written. */
function errorsOf({ source, planned, written, trained }: VerificationRequest, name: string): readonly number[] {
  const type = trained && written.roundedToSource ? source.container.tensors.get(name)?.dtype : undefined;
  const rounding = (type && roundingOf[type]?.[0]) ?? 0;
  if (!planned.isCompressed(name)) return rounding > 0 ? [rounding] : [];
  return [Math.max((planned.entry(name) as PlannedEntry).relativeError, trained ? Math.max(exactError, rounding) : 0)];
}

/** Compressed tensors as the finished file holds them, in the order of the model; plain values, whose bytes were checked, as planned; the others from `base`. */
function writtenWeights(planned: PlannedStore, reader: OutputReader, base: WeightReader): WeightReader {
  return {
    shapeOf: (name) => base.shapeOf(name),
    read: async (name, target) => {
      const entry = planned.entry(name);
      if (!entry) return base.read(name, target);
      if (entry.layout.kind === 'plain') return planned.storedValues(name, target);
      if (!entry.transposed) return reader.weights(name, target);
      const values = await reader.weights(name);
      return transposeInto(values, entry.layout.columns, 0, entry.layout.rows, target ?? new Float32Array(values.length));
    },
  };
}
