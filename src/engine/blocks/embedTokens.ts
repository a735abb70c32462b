import { elementCount } from '../../protocol/dtypes';
import type { DecoderConfig } from '../architectures/architecture';
import { embeddingName } from '../architectures/decoder/expectedTensors';
import { readRows, type WeightReader } from '../models/weightReader';
import type { HiddenStates } from './hiddenStates';

/**
 * Rows of the embedding for token ids: [ids, hiddenSize] float32. With `whole` the table is read whole; without, only the rows
 * that occur are read, each once.
 */
export async function embedTokens(weights: WeightReader, config: DecoderConfig, ids: BigInt64Array, whole = false): Promise<Float32Array> {
  const width = config.hiddenSize;
  const hidden = new Float32Array(elementCount([ids.length, width]));
  if (whole || !weights.readRows) {
    const table = await weights.read(embeddingName);
    for (const [index, id] of ids.entries()) hidden.set(table.subarray(Number(id) * width, (Number(id) + 1) * width), index * width);
    return hidden;
  }
  const places = new Map<number, number>();
  for (const [index, id] of ids.entries()) {
    const row = Number(id);
    const before = places.get(row);
    if (before !== undefined) {
      hidden.copyWithin(index * width, before * width, (before + 1) * width);
      continue;
    }
    hidden.set(await readRows(weights, embeddingName, row, 1), index * width);
    places.set(row, index);
  }
  return hidden;
}

/** The same for all windows of hidden states, some at a time: ids [windows, length]. */
export async function embedWindows(
  weights: WeightReader,
  config: DecoderConfig,
  ids: BigInt64Array,
  hidden: HiddenStates,
  windowsPerPart: number,
): Promise<void> {
  const { windows, length } = hidden.layout;
  for (let first = 0; first < windows; first += windowsPerPart) {
    const count = Math.min(windowsPerPart, windows - first);
    await hidden.write(first, await embedTokens(weights, config, ids.subarray(first * length, (first + count) * length)));
  }
}
