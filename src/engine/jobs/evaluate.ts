import type { EvaluateSpec } from '../../protocol/jobs';
import { estimateEvaluate } from '../evaluate/estimateEvaluate';
import { evaluateModel } from '../evaluate/evaluateModel';
import type { JobKind } from './jobKind';

/** Measures a model on text or data. */
export const evaluateJob: JobKind<EvaluateSpec> = {
  usesRuntime: true,
  outputs: () => [],
  estimate: (spec, { memoryLimit }) => estimateEvaluate(spec, memoryLimit),
  run: async (spec, { runtime, signal, progress, memoryLimit, log }) =>
    evaluateModel(spec, { runtime: await runtime(), progress, signal, memoryLimit, seed: 0, note: log }),
};
