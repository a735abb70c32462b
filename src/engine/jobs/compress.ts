import type { CompressSpec } from '../../protocol/jobs';
import { compressModel } from '../compress/compressModel';
import { estimateCompress } from '../compress/estimateCompress';
import type { JobKind } from './jobKind';
import { peakResidentBytes } from '../runtime/peakResidentBytes';

/** Makes a model smaller. */
export const compressJob: JobKind<CompressSpec> = {
  usesRuntime: true,
  outputs: ({ out }) => [out],
  estimate: (spec, { provider, memoryLimit }) => estimateCompress(spec, { provider, memoryLimit }),
  run: async (spec, { runtime, signal, progress, memoryLimit }) =>
    compressModel(spec, {
      runtime: await runtime(),
      progress,
      residentBytes: peakResidentBytes,
      memoryLimit,
      ...(signal ? { signal } : {}),
    }),
};
