import path from 'node:path';
import type { EvaluateSpec } from '../../protocol/jobs';
import type { TensorContainer } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';
import { findPackedProducts, weightsKey } from '../models/packedProducts';
import type { OnnxSettings } from './onnxLanguageModel';
import { planOnnxScoring, type OnnxPlan, type PackedWeights } from './onnxScoringPlan';
import { isSlowProduct, mayRoundActivations } from './slowProducts';
import { encodedTextBytes } from './textMemory';

/** The plan for an ONNX file and a text, from headers, file sizes and the report beside it. Errors: `insufficient-memory`. */
export async function planOnnx(
  container: TensorContainer,
  settings: OnnxSettings,
  { spec, window, count }: { readonly spec: EvaluateSpec; readonly window: number; readonly count: number },
  { provider, memoryLimit }: { readonly provider: string; readonly memoryLimit: number | undefined },
): Promise<OnnxPlan> {
  const fileBytes = [...container.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const task = {
    packed: await packedWeights(container.path, provider),
    window,
    count,
    fileBytes,
    loadedBytes: await loadedBytesOf(container, fileBytes),
    fixedBytes: await encodedTextBytes(settings.folders, spec.text as string),
  };
  return planOnnxScoring(settings, task, memoryLimit);
}

/** On other providers nothing is dequantised: weights as inputs would cross the bus in every run, and their kernels round no activations. */
async function packedWeights(path: string, provider: string): Promise<PackedWeights> {
  const products = provider === 'cpu' ? await findPackedProducts(path) : [];
  const slow = new Map(products.filter(isSlowProduct).map((product) => [weightsKey(product), product]));
  const sum = (bytes: readonly number[]) => bytes.reduce((total, each) => total + each, 0);
  const rounding = products.filter(mayRoundActivations);
  return {
    slow: {
      matrices: slow.size,
      packedBytes: sum([...slow.values()].map(({ packedBytes }) => packedBytes)),
      floatBytes: sum([...slow.values()].map(({ rows, columns }) => 4 * rows * columns)),
    },
    rounding: { products: rounding.length, slow: rounding.filter(isSlowProduct).length },
  };
}

/** Self-unpacking graphs grow when they are loaded; the report of their making says to what. */
export async function loadedBytesOf(container: TensorContainer, fileBytes: number): Promise<number> {
  for (const folder of [path.dirname(container.path), path.dirname(path.dirname(container.path))]) {
    const report: Readonly<Record<string, unknown>> = await readJsonObject(path.join(folder, 'report.json')).catch(() => ({}));
    const { loadedBytes } = report;
    if (typeof loadedBytes === 'number' && Number.isSafeInteger(loadedBytes)) return loadedBytes;
  }
  return fileBytes;
}
