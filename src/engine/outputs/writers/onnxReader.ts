import type { TensorContainer } from '../../formats/container';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import type { Pieces, TensorBytes } from '../storage/matrixForm';
import type { DecodedTensor, StoredTensor } from '../storage/storedTensor';
import type { OutputReader } from './outputWriter';

/** Where a compressed tensor is in an ONNX file. */
export interface StoredPlace {
  readonly stored: StoredTensor;
  /** Name in the file by the ending of the piece. */
  readonly pieces: Readonly<Record<string, string>>;
  /** True where the model stores the transpose of the matrix. */
  readonly transposed?: true;
}

/** Reads compressed tensors back from a finished ONNX file with the ordinary reader; the file is opened once. */
export async function onnxReader(path: string, places: ReadonlyMap<string, StoredPlace>): Promise<OutputReader> {
  const written = await openOnnx(path);
  const codes = new ReusedBuffer((length) => new Uint8Array(length));
  const decode = async (name: string): Promise<DecodedTensor> => decodePlace(written, places.get(name)!, codes);
  return {
    fingerprint: async (name) => (await decode(name)).fingerprint,
    weights: async (name, target) => (await decode(name)).weights(target),
    bytesOf: (name) => written.tensors.get(name)?.bytes,
    read: (name, range) => written.read(name, range),
    close: () => written.close(),
  };
}

/** Decodes one tensor. `codes`: lends a buffer that ends with the next call. */
export async function decodePlace(
  written: TensorContainer,
  { stored, pieces }: StoredPlace,
  codes?: ReusedBuffer<Uint8Array>,
): Promise<DecodedTensor> {
  const read: Record<string, TensorBytes> = {};
  for (const [piece, name] of Object.entries(pieces)) {
    const entry = written.tensors.get(name);
    if (!entry) throw new Error(`The piece '${name}' is not in ${written.path}.`);
    read[piece] = { dtype: entry.dtype, shape: entry.shape, bytes: await written.read(name) };
  }
  return stored.decode(read satisfies Pieces, codes?.take(stored.rows * stored.columns));
}
