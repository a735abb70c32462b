import { dequantizeLinear } from '../storage/dequantizeLinear';
import { embeddingRows } from '../storage/embeddingRows';
import { isEmbedding, onnxExporter } from './onnxExporter';
import { plannedBytes } from './sizes';

/** QuantizeLinear and DequantizeLinear: standard operators that every complete ONNX runtime has. */
export const onnxStandard = onnxExporter({
  id: 'onnx',
  label: 'ONNX, standard operators',
  summary: 'DequantizeLinear: any width, stored in 2, 4 or 8 bits. Portable. Without compressed weights a float model.',
  holdsFloat: true,
  file: () => 'model_quantized.onnx',
  formFor: (plan) => (isEmbedding(plan) ? embeddingRows : dequantizeLinear),
  bytesOf: (plan) => plannedBytes(plan, { codeBits: (bits) => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8) }),
  unpacksAtLoad: false,
  integerActivations: () => true,
});
