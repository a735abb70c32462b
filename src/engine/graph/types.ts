import type { DType } from '../../protocol/dtypes';

/** Length of an axis: a number, or a name if it is only known at run time. */
export type Dimension = number | string;

/** Element type and shape of a value. An undefined shape has unknown rank. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly Dimension[] | undefined;
  /** Set if not even the element type is known: a value in a read graph behind an operator without a rule, or not a tensor. */
  readonly unknown?: true;
}

/** Constant tensor of a graph: bytes in memory, or a range of a file that the writer references as external data. */
export type ConstantData =
  | { readonly kind: 'inline'; readonly dtype: DType; readonly shape: readonly number[]; readonly bytes: Uint8Array }
  | {
      readonly kind: 'external';
      readonly dtype: DType;
      readonly shape: readonly number[];
      /** File name relative to the ONNX file. */
      readonly location: string;
      readonly offset: number;
      readonly length: number;
    };
