import type { DType } from '../../../protocol/dtypes';
import { byteLength } from '../../../protocol/dtypes';
import type { ConstantData } from '../../graph/types';
import { ExternalDataWriter } from '../../formats/onnx/externalDataWriter';

/** Weights below this stay inside the ONNX file: one file is easier to carry, and the whole is built in memory. */
export const inlineLimit = 64 * 2 ** 20;

/** Receives the stored tensors of an ONNX model one by one. */
export class PieceStore {
  private readonly constants = new Map<string, ConstantData>();

  private constructor(private readonly writer: ExternalDataWriter | undefined) {}

  /** Inside the file for small models, else in `<file>_data` beside it. */
  static async create(onnxPath: string, expectedBytes: number): Promise<PieceStore> {
    return new PieceStore(expectedBytes <= inlineLimit ? undefined : await ExternalDataWriter.create(onnxPath));
  }

  get external(): boolean {
    return this.writer !== undefined;
  }

  /** Stores one tensor, whole or in chunks. */
  async put(name: string, dtype: DType, shape: readonly number[], data: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    this.constants.set(
      name,
      this.writer
        ? await this.writer.append(dtype, shape, data)
        : { kind: 'inline', dtype, shape, bytes: data instanceof Uint8Array ? data : await joined(data, byteLength(dtype, shape)) },
    );
  }

  get(name: string): ConstantData | undefined {
    return this.constants.get(name);
  }

  async finish(): Promise<void> {
    await this.writer?.close();
  }

  async abandon(): Promise<void> {
    await this.writer?.abandon().catch(() => undefined);
  }
}

async function joined(chunks: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array> {
  const all = new Uint8Array(length);
  let position = 0;
  for await (const chunk of chunks) {
    all.set(chunk, position);
    position += chunk.byteLength;
  }
  return all;
}
