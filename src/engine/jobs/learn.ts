import type { LearnSpec } from '../../protocol/jobs';
import { estimateLearn } from '../compress/learned/estimateLearn';
import { learnBits } from '../compress/learned/learnBits';
import type { JobKind } from './jobKind';

/** Trains a model so that few bits suffice. */
export const learnJob: JobKind<LearnSpec> = {
  usesRuntime: true,
  outputs: ({ out }) => [out],
  estimate: (spec) => estimateLearn(spec),
  run: async (spec, { runtime, signal, progress, log, memoryLimit }) =>
    learnBits(spec, { runtime: await runtime(), signal, memoryLimit, seed: spec.seed ?? 0, progress, note: (text) => log(text) }),
};
