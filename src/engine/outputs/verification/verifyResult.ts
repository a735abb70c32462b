import { join } from 'node:path';
import type { LatencyReport, Verification, VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig } from '../../architectures/architecture';
import { containerWeights } from '../../models/decoderWeights';
import type { WorkContext } from '../../runtime/workContext';
import type { VerificationContext } from './verificationContext';
import { fitsWhole } from './wholeModelMemory';
import { verifyBlocks, type BlockComparison } from './verifyBlocks';
import { verifyGraphFile } from './verifyGraphFile';
import { verifyLogits } from './verifyLogits';
import { verifyOnnxModel } from './verifyOnnxModel';

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
        checks.push(await verifyBlocks(blockComparison(context, source.decoder.config), blockContext(context)));
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
  // The same weights take the same time: a conversion has nothing to compare.
  const compared = plan.size > 0 ? latency : undefined;
  return { verification: { passed: checks.every(({ passed }) => passed), scope, checks }, latency: compared };
}

function blockComparison({ source, plan, result, relativeErrors }: VerificationContext, config: DecoderConfig): BlockComparison {
  const weights = containerWeights(source.container);
  return {
    config,
    source: weights,
    result: { shapeOf: (name) => weights.shapeOf(name), read: (name, target) => result.readWeights(name, target) },
    compressed: new Set(plan.keys()),
    limitOf: (names) => {
      const { quantizer } = plan.get(names[0] as string)!;
      return quantizer.blockErrorLimit(names.map((name) => relativeErrors.get(name) ?? 0));
    },
  };
}

function blockContext({
  runtime,
  signal,
  seed,
  progress,
}: VerificationContext): Pick<WorkContext, 'runtime' | 'signal' | 'seed' | 'progress'> {
  return { runtime, signal, seed, progress: ({ phase, done, total }) => progress(phase, done, total ?? 0) };
}
