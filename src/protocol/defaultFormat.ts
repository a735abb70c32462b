import { isFastGroup, isFastWidth } from '../common/fastKernels';
import { resolveParams } from '../common/params';
import type { ParamSpec } from '../common/params';
import type { OutputFormat, TensorOverride } from './jobs';

/**
 * The default format, and why: `hf` for a method without codes and for a bare weight file, which has no configuration to build a graph from;
 * `onnx-packed` for a method that prunes; `onnx-fast` where every width and group has a kernel, else `onnx-packed`.
 */
export function defaultFormat(
  model: string,
  specs: readonly ParamSpec[],
  parameters: Readonly<Record<string, unknown>>,
  overrides: readonly TensorOverride[],
  budget?: number,
): { readonly format: OutputFormat; readonly reason: string } {
  const prunes = specs.some(({ key }) => key === 'sparsity');
  if (!prunes && !specs.some(({ key }) => key === 'bits')) return { format: 'hf', reason: 'the method compresses no weights' };
  if (model.toLowerCase().endsWith('.safetensors'))
    return { format: 'hf', reason: 'a weights file has no configuration to build a graph from' };
  if (prunes) return { format: 'onnx-packed', reason: 'it stores pruned weights as a mask and values' };
  if (budget !== undefined) return { format: 'onnx-packed', reason: 'it can store every width that the budget may choose' };
  for (const given of [parameters, ...overrides.map((override) => ({ ...parameters, ...override.parameters }))]) {
    const { bits, groupSize } = resolveParams(specs, given).values;
    if (!isFastWidth(bits)) return { format: 'onnx-packed', reason: `the runtime has no fast kernel for ${String(bits)} bits` };
    if (!isFastGroup(groupSize))
      return { format: 'onnx-packed', reason: `the runtime has no fast kernel for groups of ${String(groupSize)}` };
  }
  return { format: 'onnx-fast', reason: 'the runtime has a fast kernel for these bits and groups' };
}
