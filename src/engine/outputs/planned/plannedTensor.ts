import type { DType } from '../../../protocol/dtypes';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';

/**
 * A matrix cut into groups along its columns, every group with one scale and one zero point:
 *   weight = (code - zeroPoint) * scale
 * Shapes: `codes` [rows, columns] one byte each (0 to 2^bits - 1); `scales` and `zeroPoints` [rows, groups] with
 * groups = ceil(columns / groupSize); the last group of a row may be shorter. Per row: groupSize = columns. Per tensor: one
 * scale repeated for every row (`granularity` tells a writer that it may store one).
 */
export interface QuantizedMatrix {
  readonly kind: 'grouped';
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
  /** Whole zero points. Empty where `floatZeroPoints` are given. */
  readonly zeroPoints: Uint8Array;
  /** Zero points between the levels, [rows, groups], already rounded to `scaleDType`. Only without `symmetric` and `groupBits`. */
  readonly floatZeroPoints?: Float32Array;
  /**
   * Widths of the groups where they differ, [rows, groups], each 0 to `bits` (`bits` is then the largest). A code of group g is in 0 to
   * 2^groupBits[g] - 1. A group of 0 bits is pruned: its codes, its scale and its zero point are 0, and so are its weights. Symmetric groups have
   * the zero point 2^(groupBits[g] - 1). Absent: every group has `bits`.
   */
  readonly groupBits?: Uint8Array;
  /**
   * Where groups are cut after the columns were sorted: [columns], column j of `codes` is column `columnOrder[j]` of the weight. A permutation.
   * Absent: columns are in their own order. Only without `groupBits`.
   */
  readonly columnOrder?: Uint32Array;
}

/** What a matrix is besides its values. Plain data. */
export interface MatrixLayout {
  readonly kind: 'grouped';
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  readonly groupSize: number;
  readonly granularity: 'group' | 'row' | 'tensor';
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  readonly zeroPointsAreFloat?: true;
  readonly widthsByGroup?: true;
  readonly columnsAreSorted?: true;
}

/** Levels on one grid for each width, as DiffQ, QAT and LSQ leave them. */
export interface LearnedGroups {
  readonly kind: 'learned';
  readonly tensor: LearnedTensor;
}

export interface LearnedLayout {
  readonly kind: 'learned';
  readonly rows: number;
  readonly columns: number;
  /** 0: one width for the whole tensor. */
  readonly groupSize: number;
  readonly widthsByGroup?: true;
}

/** Most weights are 0. The others are kept as floats or, with `quantized`, as codes. */
export interface SparseTensor {
  readonly kind: 'sparse';
  readonly rows: number;
  readonly columns: number;
  /** One bit for each weight in row-major order, lowest bit of a byte first; 1: kept. Bits beyond the last weight are 0. */
  readonly mask: Uint8Array;
  /** `2:4`: at most 2 of 4 consecutive weights of a row are kept. */
  readonly pattern: 'unstructured' | '2:4' | '4:8';
  /** Kept weights in row-major order, already rounded to `dtype`; empty where `quantized` is given. */
  readonly values: Float32Array;
  readonly dtype: 'float16' | 'bfloat16' | 'float32';
  /** Codes of the whole matrix, 0 for weights that are not kept. */
  readonly quantized?: QuantizedMatrix;
}

export interface SparseLayout {
  readonly kind: 'sparse';
  readonly rows: number;
  readonly columns: number;
  readonly pattern: SparseTensor['pattern'];
  readonly dtype: SparseTensor['dtype'];
  /** Weights that are kept; before planning, those that are expected. */
  readonly kept: number;
  readonly quantized?: MatrixLayout;
}

/** New values in place of the source's: of a tensor that a transform changed, or that training left float. */
export interface PlainValues {
  readonly kind: 'plain';
  readonly dtype: DType;
  /** Shape and order as stored. */
  readonly shape: readonly number[];
  /** Already rounded to `dtype`, widened to float32. */
  readonly values: Float32Array;
}

export interface PlainLayout {
  readonly kind: 'plain';
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tensor as a method planned it: what every writer, verification and measure understands. */
export type PlannedTensor = QuantizedMatrix | LearnedGroups | SparseTensor | PlainValues;

/** A planned tensor without its values. */
export type PlannedLayout = MatrixLayout | LearnedLayout | SparseLayout | PlainLayout;

/** The layout of a planned tensor. */
export function layoutOf(tensor: PlannedTensor): PlannedLayout {
  switch (tensor.kind) {
    case 'grouped':
      return matrixLayoutOf(tensor);
    case 'learned': {
      const { shape, groupSize, bits } = tensor.tensor;
      const [rows = 1, ...others] = shape;
      const columns = others.reduce((product, length) => product * length, 1);
      const mixed = bits.some((width) => width !== bits[0] || width === 0);
      return { kind: 'learned', rows, columns, groupSize, ...(mixed ? { widthsByGroup: true } : {}) };
    }
    case 'sparse': {
      const { rows, columns, pattern, dtype, quantized } = tensor;
      const shared = { kind: 'sparse', rows, columns, pattern, dtype, kept: keptWeights(tensor) } as const;
      return quantized ? { ...shared, quantized: matrixLayoutOf(quantized) } : shared;
    }
    case 'plain':
      return { kind: 'plain', dtype: tensor.dtype, shape: tensor.shape };
  }
}

/** The layout of a matrix. */
export function matrixLayoutOf(matrix: QuantizedMatrix): MatrixLayout {
  const { kind, rows, columns, bits, groupSize, granularity, symmetric, scaleDType } = matrix;
  return {
    kind,
    rows,
    columns,
    bits,
    groupSize,
    granularity,
    symmetric,
    scaleDType,
    ...(matrix.floatZeroPoints ? { zeroPointsAreFloat: true } : {}),
    ...(matrix.groupBits ? { widthsByGroup: true } : {}),
    ...(matrix.columnOrder ? { columnsAreSorted: true } : {}),
  };
}

/** Groups of a row. */
export function groupsPerRow({ columns, groupSize }: Pick<MatrixLayout, 'columns' | 'groupSize'>): number {
  return Math.ceil(columns / groupSize);
}

/** Number of weights that a sparse tensor keeps. */
export function keptWeights({ mask }: Pick<SparseTensor, 'mask'>): number {
  let count = 0;
  for (let byte of mask) for (; byte !== 0; byte &= byte - 1) count += 1;
  return count;
}
