import { decodeToFloat32 } from '../../formats/decode';
import { transposeInto } from '../../kernels/host/transpose';
import type { QuantizableTensor } from '../quantizers/quantizer';
import type { CompressSource } from '../../models/modelSource';

/** A weight as float32 in the order in which it is planned: [rows, columns], row-major. */
export async function readMatrix(source: CompressSource, { name, shape: [rows, columns] }: QuantizableTensor): Promise<Float32Array> {
  const { entry, transposed } = source.tensors.get(name)!;
  const stored = decodeToFloat32(entry.dtype, await source.container.read(name));
  return transposed ? transposeInto(stored, rows, 0, columns, new Float32Array(stored.length)) : stored;
}

/** Bits of a tensor that is left as it is. */
export function bitsAlone(source: CompressSource, name: string): number {
  return (source.tensors.get(name)?.entry.bytes ?? 0) * 8;
}
