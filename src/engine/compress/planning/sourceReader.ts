import { decodeToFloat32 } from '../../formats/decode';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import { transposeInto } from '../../kernels/host/transpose';
import type { ModelSource } from '../../models/modelSource';
import type { QuantizableTensor } from '../quantizers/quantizer';

/**
 * Reads matrices of a model as they are planned, [rows, columns] float32, one after the other: while one is planned the next is read. With `reuse` a matrix
 * ends with the next call.
 */
export class SourceReader {
  private readonly floats: ReusedBuffer<Float32Array>;
  private readonly turned: ReusedBuffer<Float32Array>;
  private ahead: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;

  /** `order`: names in which tensors will be asked for; others come as they are asked for, without being read ahead. `make`: memory for
   * the values. */
  constructor(
    private readonly source: ModelSource,
    private readonly order: readonly string[],
    private readonly reuse = true,
    make: (length: number) => Float32Array = (length) => new Float32Array(length),
  ) {
    this.floats = new ReusedBuffer(make);
    this.turned = new ReusedBuffer(make);
  }

  async matrix({ name, shape: [rows, columns] }: QuantizableTensor): Promise<Float32Array> {
    const { entry, transposed } = this.source.tensors.get(name)!;
    const bytes = await this.read(name);
    this.readAhead(this.order[this.order.indexOf(name) + 1]);
    const count = rows * columns;
    const stored = decodeToFloat32(entry.dtype, bytes, this.reuse ? this.floats.take(count) : new Float32Array(count));
    // A MatMul weight of ONNX is [in, out]: groups follow the inputs, so it is transposed first.
    return transposed ? transposeInto(stored, rows, 0, columns, this.reuse ? this.turned.take(count) : new Float32Array(count)) : stored;
  }

  /** Waits for a read that is still under way, so that the source can be closed. */
  async close(): Promise<void> {
    await this.ahead?.bytes.catch(() => undefined);
    this.ahead = undefined;
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
}

/** One matrix as it is planned. */
export async function readMatrix(source: ModelSource, tensor: QuantizableTensor): Promise<Float32Array> {
  return new SourceReader(source, [], false).matrix(tensor);
}

/** Bits of a tensor that is left as it is. */
export function bitsAlone(source: ModelSource, name: string): number {
  return (source.tensors.get(name)?.entry.bytes ?? 0) * 8;
}
