import { matMulNBits } from '../storage/matMulNBits';
import { commonBits, onnxExporter } from './onnxExporter';
import { plannedBytes } from './sizes';

/** MatMulNBits: fast and small in memory, on runtimes that have Microsoft's operators. */
export const onnxFast = onnxExporter({
  id: 'onnx-fast',
  label: 'ONNX, fast kernels',
  summary: 'MatMulNBits of ONNX Runtime: 2, 4 or 8 bits, groups of 16 to 256 or whole rows. Small on disk and in memory.',
  file: (plan) => `model_q${commonBits(plan)}.onnx`,
  formFor: () => matMulNBits,
  bytesOf: (plan) => plannedBytes(plan, { codeBits: (bits) => bits, scaleBits: plan.parameters['bits'] === 4 ? 1 : 2 }),
  unpacksAtLoad: false,
  integerActivations: (plan) => [...plan.values()].some(({ parameters }) => parameters['bits'] !== 4),
});
