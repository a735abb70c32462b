import type { LearnSpec } from '../../protocol/jobs';
import { estimateLearn } from '../compress/learned/estimateLearn';
import { learnBits } from '../compress/learned/learnBits';
import type { JobKind } from './jobKind';
import { peakResidentBytes } from './peakResidentBytes';

/** Trains a model so that few bits suffice. */
export const learnJob: JobKind<LearnSpec> = {
  usesRuntime: true,
  outputs: ({ out }) => [out],
  estimate: (spec, { provider, memoryLimit }) => estimateLearn(spec, { provider, memoryLimit }),
  run: async (spec, { runtime, signal, progress, log, memoryLimit }) =>
    learnBits(spec, {
      runtime: await runtime(),
      progress,
      log,
      residentBytes: peakResidentBytes,
      memoryLimit,
      ...(signal ? { signal } : {}),
    }),
};
