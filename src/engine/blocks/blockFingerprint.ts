import { createHash } from 'node:crypto';
import type { DecoderConfig } from '../architectures/architecture';
import { expectedDecoderTensors } from '../architectures/decoder/expectedTensors';
import { readRows, type WeightReader } from '../models/weightReader';

/** What the states of a walk depend on, as hashes. */
export interface BlockFingerprint {
  readonly model: string;
  readonly sample: string;
  readonly settings: string;
}

/**
 * The fingerprint of a walk: the configuration with every vector and the first and last row of every matrix, the token ids, and everything else that the result depends on
 * (a method and its parameters). A model of the same sizes with other weights has another fingerprint, at the cost of a few small reads.
 */
export async function blockFingerprint(
  config: DecoderConfig,
  weights: WeightReader,
  ids: BigInt64Array,
  settings: Readonly<Record<string, unknown>>,
): Promise<BlockFingerprint> {
  const model = createHash('sha256').update(JSON.stringify(config));
  for (const { name, shape } of expectedDecoderTensors(config)) {
    const parts =
      shape.length === 1
        ? [await weights.read(name)]
        : [await readRows(weights, name, 0, 1), await readRows(weights, name, (shape[0] as number) - 1, 1)];
    model.update(name);
    for (const values of parts) model.update(bytesOf(values));
  }
  return {
    model: model.digest('hex'),
    sample: createHash('sha256').update(bytesOf(ids)).digest('hex'),
    settings: createHash('sha256').update(JSON.stringify(settings)).digest('hex'),
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
