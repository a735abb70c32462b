import { embeddingRows } from '../storage/embeddingRows';
import { storeMixedMatrix } from '../storage/mixedMatrix';
import { selfUnpacking } from '../storage/selfUnpacking';
import { isEmbedding, onnxExporter } from './onnxExporter';
import { plannedBytes } from './sizes';

const form = selfUnpacking();

/** Packed integers with standard operators that rebuild float weights once, at load. */
export const onnxPacked = onnxExporter({
  id: 'onnx-packed',
  label: 'ONNX, self-unpacking',
  summary: 'Any width from 1 to 8 bits, exactly packed; standard operators rebuild float weights when the model is loaded.',
  file: () => 'model.onnx',
  formFor: (plan) => (isEmbedding(plan) ? embeddingRows : form),
  storeMixed: (matrix) => storeMixedMatrix(matrix),
  bytesOf: plannedBytes,
  unpacksAtLoad: true,
  integerActivations: () => false,
});
