import { join } from 'node:path';
import type { LatencyReport, Verification, VerificationCheck } from '../../../protocol/report';
import type { Runtime } from '../../runtime/types';
import type { ExportResult } from '../exporters/exporter';
import type { CompressPlan } from '../plan';
import type { CompressSource } from '../source';
import { fitsWhole } from './wholeModelMemory';
import { verifyBlocks } from './verifyBlocks';
import { verifyGraphFile } from './verifyGraphFile';
import { verifyLogits } from './verifyLogits';
import { verifyOnnxModel } from './verifyOnnxModel';

/** What a verification looks at and may use. */
export interface VerificationContext {
  readonly source: CompressSource;
  readonly plan: CompressPlan;
  /** The temporary output folder. */
  readonly folder: string;
  readonly result: ExportResult;
  readonly runtime: Runtime;
  readonly signal: AbortSignal | undefined;
  /** Host memory limit in bytes, where there is one. */
  readonly memoryLimit: number | undefined;
  readonly seed: number;
  /** Relative error of each compressed tensor, as planned. */
  readonly relativeErrors: ReadonlyMap<string, number>;
  /** Plans a compressed tensor once more from the source: dequantised float32 [rows * columns]. */
  readonly planAgain: (name: string) => Promise<Float32Array>;
  readonly progress: (phase: string, done: number, total: number) => void;
  readonly note: (text: string) => void;
}

/**
 * Proves a finished output in three steps: every stored tensor decodes to what was planned (and an ONNX graph is sound); every block stays within the method's limit; the whole
 * model gives the logits of the planned weights. What does not fit in memory is left out, and the scope says so.
 */
export async function verifyResult(
  context: VerificationContext,
): Promise<{ readonly verification: Verification; readonly latency: LatencyReport | undefined }> {
  const { source, plan, result, signal } = context;
  context.progress('Reading back', 0, 1);
  const { tensors, mismatches } = await result.verifyBytes(signal);
  const checks: VerificationCheck[] = [
    {
      name: 'bytes',
      passed: mismatches.length === 0,
      measured: mismatches.length,
      limit: 0,
      unit: 'mismatches',
      note:
        mismatches.length === 0
          ? `${tensors} tensors read back and equal to what was planned.`
          : `${tensors} tensors read back; different: ${mismatches.slice(0, 3).join(', ')}${mismatches.length > 3 ? ', ...' : ''}.`,
    },
  ];
  let scope: Verification['scope'] = 'bytes';
  let latency: LatencyReport | undefined;
  // A damaged file is not run: its numbers would only hide the cause.
  if (mismatches.length === 0) {
    if (result.primary.endsWith('.onnx')) {
      const original = source.container.format === 'onnx' ? source.container.path : undefined;
      const graph = await verifyGraphFile(join(context.folder, result.primary), original);
      if (graph) checks.push(graph);
    }
    if (source.decoder) {
      // Bytes that equal the source's leave nothing to compare block by block.
      if (plan.size > 0) {
        checks.push(await verifyBlocks(context, source.decoder.config));
        scope = 'blocks';
      }
      if (fitsWhole(source, context.memoryLimit)) {
        const whole = await verifyLogits(context, source.decoder.config);
        checks.push(...whole.checks);
        latency = whole.latency;
        scope = 'whole';
      } else
        context.note(
          `The whole model does not fit in memory beside its float original, so ${plan.size > 0 ? 'it was checked block by block' : 'only its bytes were checked'}.`,
        );
    } else if (source.container.format === 'onnx') {
      const whole = await verifyOnnxModel(context);
      if (whole) {
        checks.push(...whole.checks);
        latency = whole.latency;
        scope = 'whole';
      }
    } else context.note('The file has no graph, so only its bytes were checked.');
  }
  return { verification: { passed: checks.every(({ passed }) => passed), scope, checks }, latency };
}
