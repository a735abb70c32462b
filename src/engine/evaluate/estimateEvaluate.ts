import { stat } from 'node:fs/promises';
import { runnableDecoder } from '../models/recognizeDecoder';
import path from 'node:path';
import { elementCount } from '../../protocol/dtypes';
import type { EvaluateSpec } from '../../protocol/jobs';
import { expectedDecoderTensors } from '../architectures/decoder/expectedTensors';
import { openContainer } from '../models/openContainer';
import { checkDataHeaders } from './data/checkDataHeaders';
import { tableMemory, tableNotes } from './data/tableMemory';
import { readOnnxSettings } from './onnxLanguageModel';
import { processBytes } from '../runtime/estimate';
import { planOnnx } from './planOnnxFile';
import { planScoring } from './scoringPlan';
import { encodedTextBytes } from './textMemory';

/** What an evaluation will need, from headers and file sizes alone. */
export interface EvaluateEstimate {
  readonly hostMemoryBytes: number;
  /** A temporary copy without the weights that are dequantised first; no output. */
  readonly diskBytes: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

/** Multiply-adds a second, taken low; a rough figure for two cores. */
const flopsPerSecond = 50e9;
const readBytesPerSecond = 300e6;
/** Bytes of English text for each token: loom-base has 2.6 to 3.6, larger vocabularies more. */
const bytesPerToken = 3.5;

/**
 * Estimates memory and time. Errors: those of opening the model and of `planScoring` (`insufficient-memory`).
 */
export async function estimateEvaluate(
  spec: EvaluateSpec,
  context: { readonly provider: string; readonly memoryLimit: number | undefined },
): Promise<EvaluateEstimate> {
  const container = await openContainer(spec.model, { asHuggingFace: true });
  try {
    const bytes = [...container.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
    const parameters = [...container.tensors.values()].reduce((sum, tensor) => sum + elementCount(tensor.shape), 0);
    const textBytes = spec.text === undefined ? 0 : (await stat(spec.text)).size;
    if (spec.text !== undefined && container.format === 'onnx') {
      const settings = await readOnnxSettings(container);
      const window = spec.window ?? Math.min(settings.contextLength, 2048);
      const count = Math.max(1, Math.min(spec.limit ?? Infinity, Math.floor(textBytes / bytesPerToken / window)));
      const { hostMemoryBytes, diskBytes } = await planOnnx(container, settings, { spec, window, count }, context);
      return {
        hostMemoryBytes,
        diskBytes,
        seconds: 2 + bytes / readBytesPerSecond + (parameters * window * count) / flopsPerSecond,
        notes: [],
      };
    }
    if (spec.data !== undefined && container.graph) await checkDataHeaders(spec.data, spec.split ?? 'test', container.graph.inputs);
    if (spec.text === undefined || container.config === undefined) {
      // ONNX Runtime holds the weights and, while it prepares them, a second copy.
      const reading = await tableMemory(spec.data);
      return {
        // The data is read before the model is loaded.
        hostMemoryBytes: processBytes(bytes) + Math.max(2 * bytes, reading),
        diskBytes: 0,
        seconds: 2 + bytes / readBytesPerSecond,
        notes: spec.text === undefined ? ['the time for the data itself is not known in advance', ...tableNotes(reading)] : [],
      };
    }
    const { config, notes } = await runnableDecoder(container);
    const window = spec.window ?? Math.min(config.contextLength, 2048);
    const count = Math.max(1, Math.min(spec.limit ?? Infinity, Math.floor(textBytes / bytesPerToken / window)));
    const folder = container.format === 'hugging-face' ? container.path : path.dirname(container.path);
    const plan = planScoring(
      config,
      { window, count, fixedBytes: await encodedTextBytes([folder], spec.text, container.generatedCompanions) },
      context.memoryLimit,
    );
    const weights = expectedDecoderTensors(config).reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const groups = plan.keepWeights ? 1 : Math.ceil(count / plan.windowsPerGroup);
    return {
      hostMemoryBytes: plan.hostMemoryBytes,
      diskBytes: 0,
      seconds: 1 + (groups * bytes) / readBytesPerSecond + (weights * window * count) / flopsPerSecond,
      notes: [...notes, ...(plan.keepWeights ? [] : [`weights are read block by block, ${groups} times`])],
    };
  } finally {
    await container.close();
  }
}
