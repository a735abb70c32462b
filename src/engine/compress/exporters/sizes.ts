import { byteLength } from '../../../protocol/dtypes';
import type { CompressPlan, TensorPlan } from '../plan';
import type { CompressSource } from '../source';

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
