import type { Attributes } from './graph';
import type { ConstantData, TensorType } from './types';

/** What a shape rule may use besides types. */
export interface InferContext {
  readonly attributes: Attributes;
  /** The constant behind an input, if it is one: target shapes, axes, starts. */
  constantOf(input: number): ConstantData | undefined;
  /** Name of the node, unique in its graph: the base of names for lengths that a rule cannot determine. */
  readonly node: string;
  /** Number of outputs that the node has. */
  readonly outputCount: number;
}

/**
 * An operator and its shape rule. Missing optional inputs are undefined. A rule that cannot determine a length gives it a name; it throws
 * LoomweightError('invalid-argument') for impossible inputs.
 */
export interface Operator {
  readonly name: string;
  readonly domain: string;
  infer(inputs: readonly (TensorType | undefined)[], context: InferContext): readonly TensorType[];
}

/** The operators that a graph may use. Passed to the builder and the verifier, so that `graph` does not depend on them. */
export interface OperatorTable {
  get(domain: string, name: string): Operator | undefined;
}
