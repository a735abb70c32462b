/**
 * A tensor whose weights lie on one uniform grid per bit-width, as DiffQ, QAT and LSQ leave it. Group g holds `groupSize` consecutive entries of
 * the tensor in canonical order (the last group may be shorter) and is stored with `bits[g]` bits:
 *
 *   weight = minimum + (maximum - minimum) * level / (2^bits - 1)
 *
 * Canonical order: matrices of linear layers as [out, in], whatever the file's layout; everything else as stored. A constant tensor
 * (minimum equals maximum) has levels 0.
 */
export interface LearnedTensor {
  readonly name: string;
  /** Shape in canonical order. */
  readonly shape: readonly number[];
  /** True where the file holds the transpose of `shape`: [in, out] weights of ONNX MatMul and Gemm. */
  readonly transposed: boolean;
  readonly groupSize: number;
  /** Bits of each group, 1 to 15; a group of 0 bits is pruned: all its weights are 0. */
  readonly bits: Uint8Array;
  /** float32 values. */
  readonly minimum: number;
  readonly maximum: number;
  /** One level for each entry, in canonical order. */
  readonly levels: Uint16Array;
  /** Bits that the published size formula adds for the table of widths: one entry of this many bits for each group (0: one width for all). */
  readonly bitsOfWidth: number;
}
