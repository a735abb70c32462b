import type { DType } from '../../protocol/dtypes';

/** A length of an axis: known, or a name for one that is only known at run time. */
export type Dimension = number | string;

/** Element type and shape of a value. An undefined shape has unknown rank. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly Dimension[] | undefined;
  /** Set where not even the element type is known: a value of a read graph behind an operator without a rule, or no tensor. */
  readonly unknown?: true;
}

/** Constant tensor of a graph: bytes in memory, or a stretch of a file that the writer refers to as external data. */
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

/** Value of a node attribute. Numbers are floats unless given as bigint (ONNX ints); use `int()` and friends of the builder. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: ConstantData }
  | { readonly kind: 'graph'; readonly value: import('./graph').Graph }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  /** A kind that only read graphs have (sparse tensors, types, lists of graphs): the encoded AttributeProto, kept as it is. */
  | { readonly kind: 'opaque'; readonly value: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;
