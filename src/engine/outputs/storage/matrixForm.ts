import type { DType } from '../../../protocol/dtypes';
import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { MatrixLayout, QuantizedMatrix } from '../planned/plannedTensor';
import type { PieceTypes, Trace } from './pieceTypes';

export { groupsPerRow } from '../planned/plannedTensor';
export type { MatrixLayout } from '../planned/plannedTensor';

/** A tensor ready to be stored: little-endian bytes as ONNX raw data. */
export interface TensorBytes {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Values of a matrix as they come back from disk. */
export type MatrixValues = Pick<QuantizedMatrix, 'codes' | 'scales' | 'zeroPoints' | 'floatZeroPoints' | 'columnOrder'>;

/** Stored tensors of a matrix by the ending of their name. */
export type Pieces = Readonly<Record<string, TensorBytes>>;

/** One way to store a quantised matrix with one width in an ONNX file. `encode` and `decode` are exact inverses. */
export interface MatrixForm {
  /** Name of the form in reports. */
  readonly id: string;
  /** Lowest opset that knows the stored types. */
  opset(layout: MatrixLayout): number;
  /** Undefined, or why the form cannot hold the matrix and what can: the end of a sentence. */
  refuse(layout: MatrixLayout): string | undefined;
  encode(matrix: QuantizedMatrix): Pieces;
  /** Types and shapes of the pieces that `encode` gives. */
  types(layout: MatrixLayout): PieceTypes;
  /** What nodes of the form show of the layout where other layouts have pieces of the same types. */
  traces(layout: MatrixLayout): readonly Trace[];
  /** Takes pieces of the types that the layout has. `codes`: a buffer of rows * columns that may become the codes of the result; its content means nothing. */
  decode(pieces: Pieces, layout: MatrixLayout, codes?: Uint8Array): MatrixValues;
  /** y = x W^T: [..., columns] to [..., rows]. */
  linear(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout, x: Value): Value;
  /** The float32 weight as [columns, rows]; absent if the form is a fused kernel. */
  dense?(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout): Value;
  /**
   * True where ONNX Runtime fuses a product (MatMul, Gemm) of the dense weight and an activation behind DequantizeLinear into an integer kernel that the layout does not fit: another node must then be
   * between weight and product.
   */
  fusesWrongly?(layout: MatrixLayout, op: string): boolean;
  /** Rows for ids [batch, sequence] as float32 [batch, sequence, columns]; absent if the form cannot give single rows. */
  gather?(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout, ids: Value): Value;
}

/** Why a form that knows whole zero points and one width in the columns' own order cannot hold a matrix; undefined if it can. */
export function plainMatrixOnly(format: string, layout: MatrixLayout): string | undefined {
  if (layout.widthsByGroup)
    return `${format} stores one width per tensor; use onnx-packed, archive or hf, or choose widths for whole tensors`;
  if (layout.zeroPointsAreFloat) return `${format} stores integer zero points only; use onnx-packed, archive or hf`;
  if (layout.columnsAreSorted) return `${format} stores groups of adjacent columns only; use onnx-packed or hf`;
  return undefined;
}
