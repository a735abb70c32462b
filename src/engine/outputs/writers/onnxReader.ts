import type { TensorContainer } from '../../formats/container';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import type { Pieces, TensorBytes } from '../storage/matrixForm';
import { checkPieces, LayoutMismatch } from '../storage/pieceTypes';
import type { DecodedTensor, StoredTensor } from '../storage/storedTensor';
import type { OutputReader } from './outputWriter';

/** Where a compressed tensor is in an ONNX file. */
export interface StoredPlace {
  readonly stored: StoredTensor;
  /** Name in the file by the ending of the piece. */
  readonly pieces: Readonly<Record<string, string>>;
  /** True if the model stores the transpose of the matrix. */
  readonly transposed?: true;
}

/** Reads compressed tensors back from a finished ONNX file with the ordinary reader; the file is opened once. */
export async function onnxReader(path: string, places: ReadonlyMap<string, StoredPlace>): Promise<OutputReader> {
  const written = await openOnnx(path);
  const codes = new ReusedBuffer((length) => new Uint8Array(length));
  const decode = async (name: string): Promise<DecodedTensor> => decodePlace(written, places.get(name)!, codes);
  return {
    fingerprint: async (name) => {
      try {
        return (await decode(name)).fingerprint;
      } catch (error) {
        // A file that contradicts the layout it was written with is damaged: its fingerprint is that of no tensor.
        if (error instanceof LayoutMismatch) return error.message;
        throw error;
      }
    },
    weights: async (name, target) => (await decode(name)).weights(target),
    bytesOf: (name) => written.tensors.get(name)?.bytes,
    read: (name, range) => written.read(name, range),
    close: () => written.close(),
  };
}

/**
 * Decodes one tensor. `codes`: lends a buffer that ends with the next call. Errors: `LayoutMismatch` where the pieces in the file are not those of the layout.
 */
export async function decodePlace(
  written: TensorContainer,
  { stored, pieces }: StoredPlace,
  codes?: ReusedBuffer<Uint8Array>,
): Promise<DecodedTensor> {
  const read: Record<string, TensorBytes> = {};
  const entries = Object.entries(pieces).map(([piece, name]) => {
    const entry = written.tensors.get(name);
    if (!entry) throw new LayoutMismatch(piece, `a tensor '${name}'`, 'none of that name');
    return [piece, entry] as const;
  });
  checkPieces(stored.types, Object.fromEntries(entries));
  for (const [piece, entry] of entries) {
    const { name } = entry;
    read[piece] = { dtype: entry.dtype, shape: entry.shape, bytes: await written.read(name) };
  }
  return stored.decode(read satisfies Pieces, codes?.take(stored.rows * stored.columns));
}
