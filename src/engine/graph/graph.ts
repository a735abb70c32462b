import type { ConstantData, TensorType } from './types';

/** A named edge of a graph: what one node (or an input, or a constant) gives and others take. */
export interface Value {
  readonly name: string;
  readonly type: TensorType;
}

/** One operation. Missing optional inputs are undefined; unused optional outputs too. */
export interface Node {
  readonly name: string;
  readonly op: string;
  /** Empty for standard ONNX operators. */
  readonly domain: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
}

/**
 * A typed ONNX graph in memory. Nodes stand in an order in which every value is made before it is used; names are
 * unique. Built through GraphBuilder, checked by `verifyGraph`, printed by `printGraph`.
 */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly constants: ReadonlyMap<Value, ConstantData>;
  /** Version per domain; the empty string is the standard one. */
  readonly opsets: Readonly<Record<string, number>>;
}

/** Value of a node attribute. Whole and real numbers are different kinds: use `int()` and friends of the builder. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: ConstantData }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  /** A kind that only read graphs have (sparse tensors, types, lists of graphs): the encoded AttributeProto, kept as it is. */
  | { readonly kind: 'opaque'; readonly value: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;
