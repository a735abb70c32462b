import { createHash } from 'node:crypto';
import { decodeToFloat32 } from '../formats/decode';
import { transposeInto } from './forms/transpose';
import type { MatrixValues } from './forms/matrixForm';
import type { TensorPlan } from './plan';
import type { QuantizedMatrix } from './quantizers/quantizer';
import type { CompressSource } from './source';

/** Reads a tensor and plans it. The float values live only here. */
export async function quantizeTensor(
  source: CompressSource,
  plan: TensorPlan,
): Promise<{ readonly matrix: QuantizedMatrix; readonly relativeError: number }> {
  const entry = source.container.tensors.get(plan.tensor.name)!;
  const stored = decodeToFloat32(entry.dtype, await source.container.read(entry.name));
  const [rows, columns] = plan.tensor.shape;
  // A MatMul weight of ONNX is [in, out]: groups lie along the inputs, so it is turned first.
  const weights = source.tensors.get(entry.name)?.transposed
    ? transposeInto(stored, rows, 0, columns, new Float32Array(stored.length))
    : stored;
  const matrix = plan.quantizer.plan({ tensor: plan.tensor, weights }, plan.parameters);
  return { matrix, relativeError: relativeErrorOf(matrix, weights) };
}

/** Dequantised weights, float32 [rows * columns]: (code - zero) * scale, one exact difference and one rounding. */
export function dequantize(matrix: QuantizedMatrix, target?: Float32Array): Float32Array {
  const { rows, columns, groupSize, codes, scales, zeroPoints } = matrix;
  const result = target ?? new Float32Array(codes.length);
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      const end = row * columns + Math.min(column + groupSize, columns);
      const scale = scales[group] as number;
      const zero = zeroPoints[group] as number;
      for (let index = row * columns + column; index < end; index += 1) result[index] = ((codes[index] as number) - zero) * scale;
    }
  return result;
}

/** Norm of the error divided by the norm of the weights; 0 for weights that are all zero. Plain loops: every weight passes here. */
function relativeErrorOf(matrix: QuantizedMatrix, weights: Float32Array): number {
  const { rows, columns, groupSize, codes, scales, zeroPoints } = matrix;
  let error = 0;
  let total = 0;
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      const end = row * columns + Math.min(column + groupSize, columns);
      const scale = scales[group] as number;
      const zero = zeroPoints[group] as number;
      for (let index = row * columns + column; index < end; index += 1) {
        const weight = weights[index] as number;
        const difference = ((codes[index] as number) - zero) * scale - weight;
        error += difference * difference;
        total += weight * weight;
      }
    }
  return total === 0 ? 0 : Math.sqrt(error / total);
}

/** A fingerprint of codes, scales and zero points, to compare what was planned with what the finished file holds. */
export function digestOf(values: MatrixValues): string {
  const hash = createHash('sha256');
  for (const array of [values.codes, values.scales, values.zeroPoints])
    hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return hash.digest('hex');
}

/** A fingerprint of plain bytes. */
export function digestOfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
