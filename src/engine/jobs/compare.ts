import type { CompareSpec } from '../../protocol/jobs';
import type { CompareReport } from '../../protocol/report';
import { compareContainers } from '../evaluate/compareModels';
import type { TensorContainer } from '../formats/container';
import { openContainer } from '../models/openContainer';
import { dequantizedView } from './dequantizedView';
import type { JobKind } from './jobKind';
import { peakResidentBytes } from '../runtime/peakResidentBytes';

/** Node, our code and a few chunks: streaming keeps it there whatever the models' size. */
const memoryBytes = 250e6;
/** A compressed layer of an ONNX file is decoded whole: codes, their transposed copy and float values for each stored byte of 2-bit codes. */
const decodedForms = 28;
/** Both models are read once and reduced; measured at 400 to 700 MB/s, taken low. */
const bytesPerSecond = 300e6;

/** Compares two models tensor by tensor. */
export const compareJob: JobKind<CompareSpec> = {
  usesRuntime: false,
  outputs: () => [],
  estimate: async ({ first, second }) => {
    let bytes = 0;
    let largest = 0;
    for (const model of [first, second]) {
      const container = await openContainer(model, { asHuggingFace: true });
      for (const tensor of container.tensors.values()) {
        bytes += tensor.bytes;
        if (container.format === 'onnx') largest = Math.max(largest, tensor.bytes);
      }
      await container.close();
    }
    return { hostMemoryBytes: memoryBytes + decodedForms * largest, diskBytes: 0, seconds: bytes / bytesPerSecond };
  },
  run: async (spec, { signal, progress }) => {
    const started = performance.now();
    const first = await openContainer(spec.first, { asHuggingFace: true });
    try {
      const second = await openContainer(spec.second, { asHuggingFace: true });
      try {
        const options = spec.tensors === undefined ? {} : { tensors: spec.tensors };
        const views = [await dequantizedView(first, second), await dequantizedView(second, first)] as const;
        const result = await compareContainers(views[0].container, views[1].container, options, { progress, signal });
        return {
          kind: 'compare',
          first: spec.first,
          second: spec.second,
          ...result,
          notes: [...views.flatMap(({ notes }) => notes), ...foreignNames(first, second, result)],
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

/** Says what cannot be compared where names do not meet. */
function foreignNames(
  first: TensorContainer,
  second: TensorContainer,
  result: Pick<CompareReport, 'equal' | 'changed' | 'tensors'>,
): string[] {
  const differs = result.tensors.some(({ status }) => status === 'shape-differs');
  if (result.equal + result.changed > 0 || differs || result.tensors.length === 0) return [];
  const exported = [first, second].filter(({ format }) => format === 'onnx');
  return [
    'No tensor of one model has its name in the other, so no values could be compared.' +
      (exported.length === 0
        ? ''
        : ` Exporters rename and transpose weights, and only what Loomweight wrote can be traced back, by the report.json beside it: ${exported
            .map(({ path }) => path)
            .join(' and ')} has none that fits. Compare such models by 'evaluate'.`),
  ];
}
