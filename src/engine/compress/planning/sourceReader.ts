import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { decodeToFloat32 } from '../../formats/decode';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import { transposeInto } from '../../kernels/host/transpose';
import type { ModelSource } from '../../models/modelSource';
import type { QuantizableTensor } from '../quantizers/quantizer';

/** Where values are put: an array of that length with arbitrary content. */
type Allocate = (length: number) => Float32Array;

const fresh: Allocate = (length) => new Float32Array(length);

/** Reads matrices of a model one after another. While one is being planned, the next is read and widened to float32 in a second buffer. */
export class SourceReader {
  private readonly buffers: readonly [ReusedBuffer<Float32Array>, ReusedBuffer<Float32Array>];
  private readonly turned: ReusedBuffer<Float32Array>;
  private next = 0;
  private ahead: { readonly name: string; readonly values: Promise<Float32Array> } | undefined;

  /** `order`: names in which matrices will be requested; others are not read ahead. `make`: allocates the buffers. */
  constructor(
    private readonly source: ModelSource,
    private readonly order: readonly string[],
    make: Allocate = fresh,
  ) {
    this.buffers = [new ReusedBuffer(make), new ReusedBuffer(make)];
    this.turned = new ReusedBuffer(make);
  }

  /** The matrix as planned: [rows, columns] float32, row-major. Valid until the next call. */
  async matrix({ name, shape: [rows, columns] }: QuantizableTensor): Promise<Float32Array> {
    const stored = await this.stored(name);
    return this.source.tensors.get(name)!.transposed ? transposeInto(stored, rows, 0, columns, this.turned.take(rows * columns)) : stored;
  }

  /** The matrix as stored, float32: a weight that is planned transposed is [columns, rows]. Valid until the next call. */
  async stored(name: string): Promise<Float32Array> {
    const { ahead } = this;
    this.ahead = undefined;
    if (ahead !== undefined && ahead.name !== name) await ahead.values.catch(() => undefined);
    const values = await (ahead?.name === name ? ahead.values : this.read(name));
    this.readAhead(this.order[this.order.indexOf(name) + 1]);
    return values;
  }

  /** Waits for a read in progress, so that the source can be closed. */
  async close(): Promise<void> {
    await this.ahead?.values.catch(() => undefined);
    this.ahead = undefined;
  }

  private read(name: string): Promise<Float32Array> {
    const buffer = this.buffers[this.next % 2]!;
    this.next += 1;
    return storedValues(this.source, name, (length) => buffer.take(length));
  }

  private readAhead(name: string | undefined): void {
    if (name === undefined) return;
    const values = this.read(name);
    // The error is reported to whoever requests the matrix.
    values.catch(() => undefined);
    this.ahead = { name, values };
  }
}

/** One matrix as planned: [rows, columns] float32. */
export async function readMatrix(source: ModelSource, { name, shape: [rows, columns] }: QuantizableTensor): Promise<Float32Array> {
  const stored = await storedValues(source, name);
  // A MatMul weight of ONNX is [in, out]: groups follow the inputs, so it is transposed first.
  return source.tensors.get(name)!.transposed ? transposeInto(stored, rows, 0, columns, fresh(rows * columns)) : stored;
}

/** Float32 values of any tensor of the model in the order of the file, read without a copy where the file holds float32. Errors: `internal` for an unknown name. */
export async function storedValues({ container, tensors }: ModelSource, name: string, allocate = fresh): Promise<Float32Array> {
  const known = tensors.get(name);
  if (!known)
    throw new LoomweightError('internal', `${container.path} has no tensor '${name}', which the method requested.`, { tensor: name });
  const { dtype, shape } = known.entry;
  if (dtype !== 'float32' || !container.readInto) {
    const bytes = await container.read(name);
    return decodeToFloat32(dtype, bytes, allocate(elementCount(shape)));
  }
  const values = allocate(elementCount(shape));
  await container.readInto(name, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return values;
}

/** Bits of a tensor that is left as it is. */
export function bitsAlone(source: ModelSource, name: string): number {
  return (source.tensors.get(name)?.entry.bytes ?? 0) * 8;
}
