import type { Attributes } from './graph';
import type { ConstantData, TensorType } from './types';

/** What a shape rule may look at besides types. */
export interface InferContext {
  readonly attributes: Attributes;
  /** The constant behind an input, where it is one: target shapes, axes, starts. */
  constantOf(input: number): ConstantData | undefined;
  /** Name of the node, unique in its graph: the stem of names for lengths that a rule cannot know. */
  readonly node: string;
  /** Number of outputs that the node asks for. */
  readonly outputCount: number;
}

/**
 * An operator: its shape rule (and, from the trainer on, its gradient rule). Missing optional inputs are undefined.
 * A rule that cannot know an axis gives it a name; it throws LoomweightError('invalid-argument') for inputs that cannot be.
 */
export interface Operator {
  readonly name: string;
  readonly domain: string;
  infer(inputs: readonly (TensorType | undefined)[], context: InferContext): readonly TensorType[];
}

/** The operators a graph may use. Given to the builder and the verifier, so that `graph` knows none itself. */
export interface OperatorTable {
  get(domain: string, name: string): Operator | undefined;
}
