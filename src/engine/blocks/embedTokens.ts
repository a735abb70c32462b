import { elementCount } from '../../protocol/dtypes';
import type { DecoderConfig } from '../architectures/architecture';
import { embeddingName } from '../architectures/decoder/expectedTensors';
import type { TensorContainer } from '../formats/container';
import { decodeToFloat32 } from '../formats/decode';
import type { RuntimeTensor } from '../runtime/types';
import { blockAlignedChunk } from '../formats/chunks';

/**
 * Rows of the embedding for token ids: [ids, hiddenSize] float32. With `weights` the table is read whole; without, only the rows
 * that occur are read, each once.
 */
export async function embedTokens(
  container: TensorContainer,
  config: DecoderConfig,
  ids: BigInt64Array,
  weights: { get(name: string): Promise<RuntimeTensor> } | undefined,
): Promise<Float32Array> {
  const width = config.hiddenSize;
  const hidden = new Float32Array(elementCount([ids.length, width]));
  if (weights) {
    const table = (await weights.get(embeddingName)).data as Float32Array;
    for (const [index, id] of ids.entries()) hidden.set(table.subarray(Number(id) * width, (Number(id) + 1) * width), index * width);
    return hidden;
  }
  const entry = container.tensors.get(embeddingName);
  if (!entry) return hidden;
  const places = new Map<number, number>();
  for (const [index, id] of ids.entries()) {
    const row = Number(id);
    const before = places.get(row);
    if (before !== undefined) {
      hidden.copyWithin(index * width, before * width, (before + 1) * width);
      continue;
    }
    const bytes = await container.read(embeddingName, blockAlignedChunk(entry, row * width, width));
    hidden.set(decodeToFloat32(entry.dtype, bytes, new Float32Array(width)), index * width);
    places.set(row, index);
  }
  return hidden;
}
