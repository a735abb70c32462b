import { createHash } from 'node:crypto';
import { dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import type { PlannedTensor, QuantizedMatrix } from './plannedTensor';

/** A fingerprint of everything that was planned for a tensor, to compare it with what a finished file holds. */
export function fingerprintOf(tensor: PlannedTensor): string {
  switch (tensor.kind) {
    case 'grouped':
      return fingerprintOfMatrix(tensor);
    case 'learned':
      // The values of the levels: storages keep steps and offsets in place of the range.
      return digestOfArrays([dequantizeLearned(tensor.tensor)]);
    case 'sparse':
      return tensor.quantized
        ? `${digestOfArrays([tensor.mask])} ${fingerprintOfMatrix(tensor.quantized)}`
        : digestOfArrays([tensor.mask, tensor.values]);
    case 'plain':
      return digestOfArrays([tensor.values]);
  }
}

/** Codes, scales, zero points and order of columns of a matrix. */
export function fingerprintOfMatrix(
  matrix: Pick<QuantizedMatrix, 'codes' | 'scales' | 'zeroPoints' | 'floatZeroPoints' | 'columnOrder'>,
): string {
  const { codes, scales, zeroPoints, floatZeroPoints, columnOrder } = matrix;
  return digestOfArrays([codes, scales, floatZeroPoints ?? zeroPoints, ...(columnOrder ? [columnOrder] : [])]);
}

/** SHA-256 of the bytes of arrays, one after the other. */
export function digestOfArrays(arrays: readonly (Uint8Array | Uint16Array | Uint32Array | Float32Array)[]): string {
  const hash = createHash('sha256');
  for (const array of arrays) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return hash.digest('hex');
}

/** SHA-256 of plain bytes. */
export function digestOfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
