import { LoomweightError } from '../../../protocol/errors';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import type { SparseTensor } from '../../outputs/planned/plannedTensor';
import type { QuantizableTensor } from '../quantizers/quantizer';
import type { Pruned } from './masks';
import { keptType } from './parameters';

/** The planned tensor that keeps the weights [rows, columns] which are not pruned. */
export function sparseTensor(
  { shape: [rows, columns], dtype: source }: QuantizableTensor,
  weights: Float32Array,
  pruned: Pruned,
  pattern: SparseTensor['pattern'],
): SparseTensor {
  const mask = new Uint8Array(Math.ceil(weights.length / 8));
  let count = 0;
  for (let index = 0; index < weights.length; index += 1) {
    if (pruned[index] === 1) continue;
    mask[index >> 3]! |= 1 << (index & 7);
    count += 1;
  }
  const values = new Float32Array(count);
  let next = 0;
  for (let index = 0; index < weights.length; index += 1) if (pruned[index] !== 1) values[next++] = weights[index] as number;
  const dtype = keptType(source);
  return { kind: 'sparse', rows, columns, mask, pattern, values: decodeToFloat32(dtype, encodeFromFloat32(dtype, values)), dtype };
}

/** Throws `malformed-file` with the position of the first weight that is NaN or infinite: it cannot be ranked. */
export function refuseUnranked({ name, shape: [, columns] }: QuantizableTensor, weights: Float32Array): void {
  const place = weights.findIndex((weight) => !Number.isFinite(weight));
  if (place < 0) return;
  const [row, column] = [Math.floor(place / columns), place % columns];
  throw new LoomweightError(
    'malformed-file',
    `Tensor '${name}' contains ${weights[place]} at row ${row}, column ${column}; only finite weights can be ranked. Repair it, or exclude it with --tensors.`,
    { tensor: name, row, column },
  );
}
