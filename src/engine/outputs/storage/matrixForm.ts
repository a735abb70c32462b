import type { DType } from '../../../protocol/dtypes';
import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { QuantizedMatrix } from '../../compress/quantizers/quantizer';

/** A tensor ready to be stored: little-endian bytes as ONNX raw data. */
export interface TensorBytes {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** What a form must know of a matrix besides its stored tensors. */
export type MatrixLayout = Omit<QuantizedMatrix, 'codes' | 'scales' | 'zeroPoints'>;

/** Values of a matrix as they come back from disk. */
export type MatrixValues = Pick<QuantizedMatrix, 'codes' | 'scales' | 'zeroPoints'>;

/** Stored tensors of a matrix by the ending of their name. */
export type Pieces = Readonly<Record<string, TensorBytes>>;

/** One way to store a quantised matrix in an ONNX file. `encode` and `decode` are exact inverses. */
export interface MatrixForm {
  /** Lowest opset that knows the stored types. */
  opset(layout: MatrixLayout): number;
  /** Undefined, or why the form cannot hold the matrix and what can: the end of a sentence. */
  refuse(layout: MatrixLayout): string | undefined;
  encode(matrix: QuantizedMatrix): Pieces;
  /** `codes`: a buffer of rows * columns that may become the codes of the result; its content means nothing. */
  decode(pieces: Pieces, layout: MatrixLayout, codes?: Uint8Array): MatrixValues;
  /** y = x W^T: [..., columns] to [..., rows]. */
  linear(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout, x: Value): Value;
  /** The float32 weight as [columns, rows]; absent where the form is a kernel of its own. */
  dense?(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout): Value;
  /** Rows for ids [batch, sequence] as float32 [batch, sequence, columns]; absent where the form cannot give single rows. */
  gather?(build: GraphBuilder, stored: Readonly<Record<string, Value>>, layout: MatrixLayout, ids: Value): Value;
}

/** Groups of a row. */
export function groupsPerRow({ columns, groupSize }: MatrixLayout): number {
  return Math.ceil(columns / groupSize);
}
