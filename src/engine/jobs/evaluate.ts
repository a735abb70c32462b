import type { EvaluateSpec } from '../../protocol/jobs';
import { evaluateModel } from '../evaluate/evaluateModel';
import type { JobKind } from './jobKind';

/** The process with the runtime loaded; the scoring itself is planned to stay under the limit, or refused, when it starts. */
const memoryBytes = 200e6;

/** Measures a model on text or data. */
export const evaluateJob: JobKind<EvaluateSpec> = {
  usesRuntime: true,
  outputs: () => [],
  estimate: () => Promise.resolve({ hostMemoryBytes: memoryBytes, diskBytes: 0, seconds: 1 }),
  run: async (spec, { runtime, signal, progress }) =>
    evaluateModel(spec, { runtime: await runtime(), progress, signal, memoryLimit: spec.maxMemory }),
};
