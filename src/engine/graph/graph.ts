import type { Attributes, ConstantData, TensorType } from './types';

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
