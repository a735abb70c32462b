/**
 * A tensor whose weights are on one uniform grid per bit-width, as produced by DiffQ, QAT and LSQ. Group g consists of `groupSize`
 * consecutive entries of the tensor in canonical order (the last group may be shorter) and is stored with `bits[g]` bits:
 *
 *   weight = minimum + (maximum - minimum) * level / (2^bits - 1)
 *
 * Canonical order: matrices of linear layers as [out, in], whatever the layout of the file; everything else as stored. A constant tensor
 * (minimum equals maximum) has levels 0.
 */
export interface LearnedTensor {
  readonly name: string;
  /** Shape in canonical order. */
  readonly shape: readonly number[];
  /** True if the file stores the transpose of `shape`: [in, out] weights of ONNX MatMul and Gemm. */
  readonly transposed: boolean;
  readonly groupSize: number;
  /** Bits of each group, 1 to 15; a group of 0 bits is pruned: all its weights are 0. */
  readonly bits: Uint8Array;
  /** float32 values. */
  readonly minimum: number;
  readonly maximum: number;
  /** One level per entry, in canonical order. */
  readonly levels: Uint16Array;
  /** Bits per group that the published size formula adds for the table of widths (0: the same width for all groups). */
  readonly bitsOfWidth: number;
}
