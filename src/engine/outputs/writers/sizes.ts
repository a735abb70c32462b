import { byteLength } from '../../../protocol/dtypes';
import { groupsPerRow, type MatrixForm, type MatrixLayout } from '../storage/matrixForm';
import type { EncodedTensor } from '../storage/storedTensor';
import type { QuantizedMatrix } from '../../compress/quantizers/quantizer';
import type { CompressPlan, TensorPlan } from '../../compress/plan';
import type { CompressSource } from '../../models/modelSource';

/** Bits of codes after rounding up to a container, with scales and zero points. */
export interface StoredBits {
  readonly codeBits: (bits: number) => number;
  readonly scaleBits?: number;
}

/** Bytes of a planned tensor: codes in their container, scales, zero points. Padding of short groups is counted as a whole group. */
export function plannedBytes(plan: TensorPlan, stored?: StoredBits): number {
  const bits = Number(plan.parameters['bits'] ?? 8);
  const codes = stored ? (plan.estimate.codeBits / bits) * stored.codeBits(bits) : plan.estimate.codeBits;
  const scales = plan.estimate.scaleBits * (stored?.scaleBits ?? 1);
  return Math.ceil((codes + scales + plan.estimate.zeroPointBits) / 8);
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
    });
    return Object.values(pieces).reduce((sum, { bytes }) => sum + bytes.length, 0);
  };
  // Rows in eights fill whole bytes whatever the width, so that bytes grow evenly with them.
  const some = 8 * Math.max(1, Math.floor(measuredWeights / 16 / columns));
  if (rows * columns <= measuredWeights || rows <= 3 * some) return 8 * storedFor(rows);
  const [few, more] = [storedFor(some), storedFor(2 * some)];
  const rest = rows % 8;
  return 8 * (few + ((more - few) / some) * (rows - rest - some) + (rest === 0 ? 0 : storedFor(some + rest) - few));
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
  return 8 * Object.values(pieces).reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** Bytes of the whole output: planned tensors as `bytesOf` says, the others as they are. */
export function outputBytes(source: CompressSource, plan: CompressPlan, bytesOf: (plan: TensorPlan) => number): number {
  let total = 0;
  for (const [name, { entry }] of source.tensors) {
    const planned = plan.get(name);
    total += planned ? bytesOf(planned) : entry.bytes;
  }
  return total;
}

/** Bytes of the weights as float32: what the runtime holds once a self-unpacking model is loaded. */
export function float32Bytes(source: CompressSource): number {
  let total = 0;
  for (const { entry } of source.tensors.values()) total += byteLength('float32', entry.shape);
  return total;
}
