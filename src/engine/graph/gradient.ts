import type { GraphBuilder } from './builder';
import type { Node, Value } from './graph';
import type { Operator } from './operator';
import type { ConstantData } from './types';

/**
 * Input of a gradient rule. The rule adds nodes to `build`, the graph that contains the node, after all its nodes. A rule may rely on known
 * lengths: graphs are specialised to one input shape before they are differentiated (`passes/specialize.ts`), and `staticShape` of
 * ops/gradients.ts fails with the node's name if one is missing.
 */
export interface GradientContext {
  readonly build: GraphBuilder;
  readonly node: Node;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  /** d(target)/d(output), of the output's type; undefined if the target does not depend on the output. At least one is defined. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** True if the gradient of that input is needed: work for others is wasted. */
  needs(input: number): boolean;
  /** The constant behind an input, if it is one. */
  constantOf(input: number): ConstantData | undefined;
}

/**
 * Returns d(target)/d(input) for each input, each of its input's type; undefined for inputs that have no gradient (indices, axes) or do not
 * need one. Throws LoomweightError('unsupported') for uses of the operator that it cannot differentiate; the caller adds node and operator.
 */
export type GradientRule = (context: GradientContext) => readonly (Value | undefined)[];

/**
 * A part of a graph with its own gradient: straight-through rounding, or a formula cheaper than those of its parts. Between `inputs` and
 * `output`, no operator's gradient rule is used.
 */
export interface RegionGradient {
  readonly output: Value;
  readonly inputs: readonly Value[];
  /** d(target)/d(input) for each input, given d(target)/d(output); undefined for inputs that get none. */
  gradient(build: GraphBuilder, outputGradient: Value): readonly (Value | undefined)[];
}

/** An operator with its gradient rule. `none`: outputs do not change with small changes of the inputs (comparisons, indices, shapes). */
export interface DifferentiableOperator extends Operator {
  /** Absent: differentiating through the operator fails with an error that names it. */
  readonly gradient?: GradientRule | 'none';
}

/** The gradient rules, passed to `differentiate`, so that it does not depend on operators. */
export interface GradientTable {
  get(domain: string, name: string): DifferentiableOperator | undefined;
}
