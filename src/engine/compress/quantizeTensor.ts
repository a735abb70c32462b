import { createHash } from 'node:crypto';
import { decodeToFloat32 } from '../formats/decode';
import { transposeInto } from '../kernels/host/transpose';
import type { MatrixValues } from '../outputs/storage/matrixForm';
import { planMixed } from './mixedWidths';
import type { TensorPlan } from './plan';
import type { QuantizedMatrix } from './quantizers/quantizer';
import { ReusedBuffer } from '../kernels/host/reusedBuffer';
import type { CompressSource } from '../models/modelSource';

/**
 * Reads tensors and plans them, one after the other. Its buffers are used again for the next tensor, so a plan's codes end with the next call; while one
 * tensor is planned the next is read.
 */
export class TensorQuantizer {
  private readonly floats = new ReusedBuffer((length) => new Float32Array(length));
  private readonly turned = new ReusedBuffer((length) => new Float32Array(length));
  private readonly codes = new ReusedBuffer((length) => new Uint8Array(length));
  private ahead: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;

  /** `order`: names in which tensors will be asked for; others come as they are asked for, without being read ahead. */
  constructor(
    private readonly source: CompressSource,
    private readonly order: readonly string[],
  ) {}

  async quantize(plan: TensorPlan): Promise<{ readonly matrix: QuantizedMatrix; readonly relativeError: number }> {
    const { name, shape } = plan.tensor;
    const [rows, columns] = shape;
    const entry = this.source.container.tensors.get(name)!;
    const stored = decodeToFloat32(entry.dtype, await this.read(name), this.floats.take(rows * columns));
    this.readAhead(this.order[this.order.indexOf(name) + 1]);
    // A MatMul weight of ONNX is [in, out]: groups lie along the inputs, so it is turned first.
    const weights = this.source.tensors.get(name)?.transposed
      ? transposeInto(stored, rows, 0, columns, this.turned.take(stored.length))
      : stored;
    const matrix = plan.groupBits
      ? planMixed(plan, weights, plan.groupBits)
      : plan.quantizer.plan(
          {
            tensor: plan.tensor,
            weights,
            codes: this.codes.take(stored.length),
            ...(plan.importance ? { importance: plan.importance } : {}),
          },
          plan.parameters,
        );
    return { matrix, relativeError: relativeErrorOf(matrix, weights) };
  }

  private async read(name: string): Promise<Uint8Array> {
    const { ahead } = this;
    this.ahead = undefined;
    if (ahead?.name === name) return ahead.bytes;
    await ahead?.bytes.catch(() => undefined);
    return this.source.container.read(name);
  }

  private readAhead(name: string | undefined): void {
    if (name === undefined) return;
    const bytes = this.source.container.read(name);
    // Whoever asks for the tensor meets the error.
    bytes.catch(() => undefined);
    this.ahead = { name, bytes };
  }

  /** Waits for a read that is still under way, so that the source can be closed. */
  async close(): Promise<void> {
    await this.ahead?.bytes.catch(() => undefined);
    this.ahead = undefined;
  }
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
