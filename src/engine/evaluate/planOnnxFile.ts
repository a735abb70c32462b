import path from 'node:path';
import type { EvaluateSpec } from '../../protocol/jobs';
import type { TensorContainer } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';
import type { OnnxSettings } from './onnxLanguageModel';
import { planOnnxScoring, type OnnxPlan } from './onnxScoringPlan';
import { encodedTextBytes } from './textMemory';

/** The plan for an ONNX file and a text, from headers, file sizes and the report beside it. Errors: `insufficient-memory`. */
export async function planOnnx(
  container: TensorContainer,
  settings: OnnxSettings,
  { spec, window, count }: { readonly spec: EvaluateSpec; readonly window: number; readonly count: number },
  limit: number | undefined,
): Promise<OnnxPlan> {
  const fileBytes = [...container.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const task = {
    window,
    count,
    fileBytes,
    loadedBytes: await loadedBytesOf(container, fileBytes),
    fixedBytes: await encodedTextBytes(settings.folders, spec.text as string),
  };
  return planOnnxScoring(settings, task, limit);
}

/** Self-unpacking graphs grow when they are loaded; the report of their making says to what. */
async function loadedBytesOf(container: TensorContainer, fileBytes: number): Promise<number> {
  for (const folder of [path.dirname(container.path), path.dirname(path.dirname(container.path))]) {
    const report: Readonly<Record<string, unknown>> = await readJsonObject(path.join(folder, 'report.json')).catch(() => ({}));
    const { loadedBytes } = report;
    if (typeof loadedBytes === 'number' && Number.isSafeInteger(loadedBytes)) return loadedBytes;
  }
  return fileBytes;
}
