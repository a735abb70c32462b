import type { ConstantData, TensorType } from './types';

/** A named edge of a graph: produced by one node (or an input, or a constant) and consumed by others. */
export interface Value {
  readonly name: string;
  readonly type: TensorType;
}

/** One operation. Missing optional inputs and unused optional outputs are undefined. */
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
 * A typed ONNX graph in memory. Nodes are ordered so that every value is produced before it is used; names are unique. Built by
 * GraphBuilder, checked by `verifyGraph`, printed by `printGraph`.
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

/** Value of a node attribute. Integers and floats are different kinds: use `int()` and related functions of the builder. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: ConstantData }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  /**
   * Kinds that only occur in graphs read from files (sparse tensors, types, lists of graphs): the encoded AttributeProto, kept unchanged.
   */
  | { readonly kind: 'opaque'; readonly value: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;
