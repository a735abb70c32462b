import { compressModel } from '../compress/compressModel';
import { estimateCompress } from '../compress/estimateCompress';
import type { CompressSpec } from '../../protocol/jobs';
import type { JobKind } from './jobKind';
import { peakResidentBytes } from './peakResidentBytes';

/** Makes a model smaller. */
export const compressJob: JobKind<CompressSpec> = {
  usesRuntime: true,
  outputs: ({ out }) => [out],
  estimate: (spec, { provider, maxMemory }) =>
    estimateCompress(spec, { provider, ...(maxMemory === undefined ? {} : { memoryLimit: maxMemory }) }),
  run: async (spec, { runtime, signal, progress }) =>
    compressModel(spec, {
      runtime: await runtime(),
      progress,
      residentBytes: peakResidentBytes,
      ...(signal ? { signal } : {}),
      ...(spec.maxMemory === undefined ? {} : { memoryLimit: spec.maxMemory }),
    }),
};
