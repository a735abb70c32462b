import { entriesOf } from './realizeTensor';
import type { SelectedTensors } from './selectTensors';

/** Sizes in bits of a model whose quantised tensors have one width each, plus `perTensor` bits for ends or steps. */
export function fixedWidthSizes(
  { quantized, restBits }: SelectedTensors,
  bits: number,
  perTensor: number,
): { readonly estimatedBits: number; readonly trueBits: number } {
  const total = entriesOf(quantized) * bits + quantized.length * perTensor + restBits;
  return { estimatedBits: total, trueBits: total };
}
