import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { dequantize } from '../planned/dequantize';
import { fingerprintOfMatrix } from '../planned/fingerprint';
import { matrixLayoutOf, type MatrixLayout, type QuantizedMatrix } from '../planned/plannedTensor';
import type { MatrixForm, Pieces } from './matrixForm';
import type { PieceTypes, Trace } from './pieceTypes';

/** Stored pieces of a tensor as values of a graph, by the ending of their name. */
export type StoredPieces = Readonly<Record<string, Value>>;

/** What the pieces of a finished file hold. */
export interface DecodedTensor {
  /** The same as `fingerprintOf` the tensor that was encoded. */
  readonly fingerprint: string;
  /** Dequantised weights, float32 [rows * columns] in canonical order. */
  weights(target?: Float32Array): Float32Array;
}

/** How one compressed tensor is stored in an ONNX file. Knows its layout and holds no values. */
export interface StoredTensor {
  /** Form and details from which `openStored` makes the same again. */
  readonly form: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly rows: number;
  readonly columns: number;
  /** Lowest opset that knows the stored types. */
  readonly opset: number;
  /** Types and shapes of all pieces. */
  readonly types: PieceTypes;
  /** What the graph must show where other layouts have pieces of the same types. */
  readonly traces: readonly Trace[];
  /** The inverse of the encoding, of pieces that have these types. `codes`: a buffer of rows * columns that may be used for the codes. Errors: `LayoutMismatch`. */
  decode(pieces: Pieces, codes?: Uint8Array): DecodedTensor;
  /** y = x W^T: [..., columns] to [..., rows]. */
  linear(build: GraphBuilder, stored: StoredPieces, x: Value): Value;
  /** Rows for ids [batch, sequence] as float32 [batch, sequence, columns]; absent if the form cannot give single rows. */
  gather?(build: GraphBuilder, stored: StoredPieces, ids: Value): Value;
  /** The float32 weight as [columns, rows]; absent if the form is a fused kernel. */
  dense?(build: GraphBuilder, stored: StoredPieces): Value;
  /** True where the runtime's fusion of the dense weight with a dequantised activation must be prevented (see `MatrixForm`). */
  fusesWrongly?(op: string): boolean;
  /** The float32 weight as [rows, columns], for users of any kind. Taken before `dense`, except where `largerThanFolds` and the users are linear. */
  matrix?(build: GraphBuilder, stored: StoredPieces): Value;
  /** True if the whole weight is too large for the runtime to fold at load. */
  readonly largerThanFolds?: boolean;
}

/** A tensor ready to be stored. */
export interface EncodedTensor {
  readonly stored: StoredTensor;
  readonly pieces: Pieces;
}

/** A quantised matrix in one of the forms for one width. */
export function storeMatrix(form: MatrixForm, matrix: QuantizedMatrix): EncodedTensor {
  return { pieces: form.encode(matrix), stored: storedMatrix(form, matrixLayoutOf(matrix)) };
}

/** A matrix of that layout as a form stores it. */
export function storedMatrix(form: MatrixForm, layout: MatrixLayout): StoredTensor {
  return {
    form: form.id,
    details: { ...layout },
    rows: layout.rows,
    columns: layout.columns,
    opset: form.opset(layout),
    types: form.types(layout),
    traces: form.traces(layout),
    decode: (pieces, codes) => {
      const values = form.decode(pieces, layout, codes);
      return { fingerprint: fingerprintOfMatrix(values), weights: (target) => dequantize({ ...layout, ...values }, target) };
    },
    linear: (build, stored, x) => form.linear(build, stored, layout, x),
    ...(form.gather ? { gather: (build, stored, ids) => form.gather!(build, stored, layout, ids) } : {}),
    ...(form.fusesWrongly ? { fusesWrongly: (op) => form.fusesWrongly!(layout, op) } : {}),
    ...(form.dense ? { dense: (build, stored) => form.dense!(build, stored, layout) } : {}),
  };
}
