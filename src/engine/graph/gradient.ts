import type { GraphBuilder } from './builder';
import type { Node, Value } from './graph';
import type { Operator } from './operator';
import type { ConstantData } from './types';

/**
 * What a gradient rule may use. The rule adds nodes to `build`, the graph that the node itself is in, behind all its nodes.
 * A rule may rely on known lengths: graphs are specialised to one input shape before they are differentiated
 * (`passes/specialize.ts`), and `staticShape` of ops/gradients.ts fails with the node's name where one is missing.
 */
export interface GradientContext {
  readonly build: GraphBuilder;
  readonly node: Node;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  /** d(target)/d(output), of the output's type; undefined where the target does not depend on the output. At least one is there. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** True where somebody asks for the gradient of that input: work for others is wasted. */
  needs(input: number): boolean;
  /** The constant behind an input, where it is one. */
  constantOf(input: number): ConstantData | undefined;
}

/**
 * Gives d(target)/d(input) for each input, each of its input's type; undefined for inputs that have none (indices, axes) or that nobody needs.
 * Throws LoomweightError('unsupported') for uses of the operator that it cannot differentiate; the caller adds node and operator.
 */
export type GradientRule = (context: GradientContext) => readonly (Value | undefined)[];

/** An operator with its gradient rule. `none`: outputs do not change with small changes of the inputs (comparisons, indices, shapes). */
export interface DifferentiableOperator extends Operator {
  /** Absent: differentiation through the operator is refused with an error that names it. */
  readonly gradient?: GradientRule | 'none';
}

/** The gradient rules, given to `differentiate`, so that it knows no operator itself. */
export interface GradientTable {
  get(domain: string, name: string): DifferentiableOperator | undefined;
}
