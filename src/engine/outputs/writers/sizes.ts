import { byteLength } from '../../../protocol/dtypes';
import type { ModelSource } from '../../models/modelSource';
import type { PlannedLayer } from '../planned/plannedStore';
import { sizeBits } from '../planned/plannedSizes';
import type { MatrixLayout, QuantizedMatrix } from '../planned/plannedTensor';
import { groupsPerRow, type MatrixForm } from '../storage/matrixForm';
import type { EncodedTensor } from '../storage/storedTensor';
import type { PlannedLayers } from './outputWriter';

/** Bits of codes after rounding up to a container, and bits of a scale for each planned one. */
export interface StoredBits {
  readonly codeBits: (bits: number) => number;
  readonly scaleBits?: number;
}

/** Bytes of a layer: codes in their container, scales, zero points. */
export function layerBytes({ layout, size }: PlannedLayer, stored?: StoredBits): number {
  if (layout.kind !== 'grouped' || !stored) return Math.ceil(sizeBits(size) / 8);
  const codes = (size.codeBits / layout.bits) * stored.codeBits(layout.bits);
  return Math.ceil((codes + size.scaleBits * (stored.scaleBits ?? 1) + size.zeroPointBits) / 8);
}

/** Matrices up to this many weights are measured whole; of larger ones a few rows, from which the rest follows. */
const measuredWeights = 2 ** 16;

/** Bits that a form stores for a matrix of that layout, padding included: measured on a matrix of zeros. */
export function formBits(form: MatrixForm, layout: MatrixLayout): number {
  const { rows, columns } = layout;
  const storedFor = (count: number): number => {
    const groups = count * groupsPerRow(layout);
    const pieces = form.encode({
      ...layout,
      rows: count,
      codes: new Uint8Array(count * columns),
      scales: new Float32Array(groups),
      zeroPoints: new Uint8Array(groups),
      ...(layout.zeroPointsAreFloat ? { floatZeroPoints: new Float32Array(groups) } : {}),
    });
    return bytesOf(pieces);
  };
  const order = layout.columnsAreSorted ? 32 * columns : 0;
  // Multiples of eight rows fill whole bytes at any width, so the number of bytes is proportional to them.
  const some = 8 * Math.max(1, Math.floor(measuredWeights / 16 / columns));
  if (rows * columns <= measuredWeights || rows <= 3 * some) return 8 * storedFor(rows) + order;
  const [few, more] = [storedFor(some), storedFor(2 * some)];
  const rest = rows % 8;
  return 8 * (few + ((more - few) / some) * (rows - rest - some) + (rest === 0 ? 0 : storedFor(some + rest) - few)) + order;
}

/** Bits that a form for mixed widths stores for these widths: measured with codes of 0. */
export function mixedFormBits(
  store: (matrix: QuantizedMatrix & { readonly groupBits: Uint8Array }) => EncodedTensor,
  layout: MatrixLayout,
  groupBits: Uint8Array,
): number {
  const { pieces } = store({
    ...layout,
    bits: Math.max(1, ...new Set(groupBits)),
    codes: new Uint8Array(layout.rows * layout.columns),
    scales: new Float32Array(groupBits.length),
    zeroPoints: new Uint8Array(groupBits.length),
    groupBits,
  });
  return 8 * bytesOf(pieces);
}

function bytesOf(pieces: EncodedTensor['pieces']): number {
  return Object.values(pieces).reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** Bytes of the whole output: layers by `bytesOf`, everything else unchanged. */
export function outputBytes(source: ModelSource, layers: PlannedLayers, bytesOf: (layer: PlannedLayer) => number): number {
  let total = 0;
  for (const [name, { entry }] of source.tensors) {
    const layer = layers.get(name);
    total += layer ? bytesOf(layer) : entry.bytes;
  }
  return total;
}

/** Bytes of the weights as float32: what the runtime holds once a self-unpacking model is loaded. */
export function float32Bytes(source: ModelSource): number {
  let total = 0;
  for (const { entry } of source.tensors.values()) total += byteLength('float32', entry.shape);
  return total;
}
