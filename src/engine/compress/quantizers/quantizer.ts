import type { ParamSpec, ParamValue, ParamValues } from '../../../common/params';
import type { DType } from '../../../protocol/dtypes';
import type { MethodSource } from '../../../protocol/methods';
import type { TensorRole } from '../../../protocol/model';

/** A weight matrix offered to a method. */
export interface QuantizableTensor {
  readonly name: string;
  readonly role: TensorRole;
  /** [out, in]; convolution kernels folded to [out, in * kernel]. */
  readonly shape: readonly [rows: number, columns: number];
}

/**
 * A matrix cut into groups along its columns, every group with one scale and one zero point:
 *   weight = (code - zeroPoint) * scale
 * Shapes: `codes` [rows, columns] one byte each (0 to 2^bits - 1); `scales` and `zeroPoints` [rows, groups] with
 * groups = ceil(columns / groupSize); the last group of a row may be shorter. Per row: groupSize = columns. Per tensor: one
 * scale repeated for every row (`granularity` tells the exporter that it may store one).
 */
export interface QuantizedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  readonly groupSize: number;
  readonly granularity: 'group' | 'row' | 'tensor';
  readonly symmetric: boolean;
  readonly codes: Uint8Array;
  /** Already rounded to the storage type `scaleDType`, widened to float32. */
  readonly scales: Float32Array;
  readonly scaleDType: 'float16' | 'float32';
  readonly zeroPoints: Uint8Array;
  /**
   * Widths of the groups where they differ, [rows, groups], each 0 to `bits` (`bits` is then the largest). A code of group g lies in 0 to
   * 2^groupBits[g] - 1. A group of 0 bits is pruned: its codes, its scale and its zero point are 0, and so are its weights. Symmetric groups have
   * the zero point 2^(groupBits[g] - 1). Absent: every group has `bits`.
   */
  readonly groupBits?: Uint8Array;
}

/** Size of a planned matrix in bits, before any file format's padding. */
export interface SizeEstimate {
  readonly codeBits: number;
  readonly scaleBits: number;
  readonly zeroPointBits: number;
}

/** A quantisation method: descriptor and one pure planning function. The runner never asks which method it runs. */
export interface Quantizer {
  readonly id: string;
  readonly label: string;
  readonly summary: string;
  readonly source: MethodSource;
  readonly parameters: readonly ParamSpec[];
  /** True for a method that may leave every tensor alone: an empty plan is then no mistake. */
  readonly mayLeaveAll?: boolean;
  /**
   * Type in which a tensor that the method leaves alone is written, from the type it has in the source's file. Undefined: as the source gives it. Absent:
   * always so.
   */
  writtenType?(stored: DType, parameters: ParamValues): DType | undefined;
  /**
   * What a budget may choose from, by key of a parameter: every combination is an option, except that a parameter given by the user stays as given.
   * `bits` must be among the keys. Absent: the method has no widths to choose.
   */
  readonly budgetChoices?: Readonly<Record<string, readonly ParamValue[]>>;
  /** Statistics the runner must collect: none for data-free methods. */
  readonly needs: readonly 'gram'[];
  /** True, or the reason why not, as the end of a sentence. */
  appliesTo(tensor: QuantizableTensor): true | string;
  estimate(tensor: QuantizableTensor, parameters: ParamValues): SizeEstimate;
  /**
   * The most by which a block's output may change, relative to what the block adds to its input, from the relative errors of its weights. A larger
   * change means a damaged weight, not rounding.
   */
  blockErrorLimit(weightErrors: readonly number[]): number;
  /**
   * Plans one matrix. `weights` [rows * columns] float32, row-major, not changed. `codes`, where given, is a buffer of the same length that may become
   * the codes of the result: fresh memory costs as much time as rounding. Its content means nothing. `importance`, [columns], where something is known of
   * the layer's inputs: the weight of each column's squared error.
   */
  plan(
    context: {
      readonly tensor: QuantizableTensor;
      readonly weights: Float32Array;
      readonly codes?: Uint8Array;
      readonly importance?: Float32Array;
    },
    parameters: ParamValues,
  ): QuantizedMatrix;
}

/** Checks a descriptor's type; keeps method files free of annotations. */
export function defineQuantizer(quantizer: Quantizer): Quantizer {
  return quantizer;
}
