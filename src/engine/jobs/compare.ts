import type { CompareSpec } from '../../protocol/jobs';
import { compareContainers } from '../evaluate/compareModels';
import { openContainer } from '../formats/openModel';
import type { JobKind } from './jobKind';
import { peakResidentBytes } from './peakResidentBytes';

/** Node, our code and a few chunks: streaming keeps it there whatever the models' size. */
const memoryBytes = 250e6;
/** Both models are read once and reduced; measured at 400 to 700 MB/s, taken low. */
const bytesPerSecond = 300e6;

/** Compares two models tensor by tensor. */
export const compareJob: JobKind<CompareSpec> = {
  usesRuntime: false,
  outputs: () => [],
  estimate: async ({ first, second }) => {
    let bytes = 0;
    for (const model of [first, second]) {
      const container = await openContainer(model);
      for (const tensor of container.tensors.values()) bytes += tensor.bytes;
      await container.close();
    }
    return { hostMemoryBytes: memoryBytes, diskBytes: 0, seconds: bytes / bytesPerSecond };
  },
  run: async (spec, { signal, progress }) => {
    const started = performance.now();
    const first = await openContainer(spec.first);
    try {
      const second = await openContainer(spec.second);
      try {
        const options = spec.tensors === undefined ? {} : { tensors: spec.tensors };
        const result = await compareContainers(first, second, options, { progress, ...(signal ? { signal } : {}) });
        return {
          kind: 'compare',
          first: spec.first,
          second: spec.second,
          ...result,
          seconds: (performance.now() - started) / 1000,
          peakRssBytes: peakResidentBytes(),
        };
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  },
};
