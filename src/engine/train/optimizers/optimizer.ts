import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';

/** Numbers that an update takes from the host at each step: float32 scalars, computed in float64. */
export type StepScalars = Readonly<Record<string, number>>;

/** One tensor's part of a step, as values of the step's graph. */
export interface UpdateInputs {
  readonly value: Value;
  readonly gradient: Value;
  /** By the names in `slots`, each of the tensor's shape. */
  readonly slots: Readonly<Record<string, Value>>;
  /** By the names that `scalars` gives. */
  readonly scalars: Readonly<Record<string, Value>>;
}

/** The tensor and its slots after a step. */
export interface UpdateOutputs {
  readonly value: Value;
  readonly slots: Readonly<Record<string, Value>>;
}

/** addend + value * factor in as few passes over memory as the runtime can; the factor is a scalar. */
export type MultiplyAdd = (build: GraphBuilder, addend: Value, value: Value, factor: Value | number) => Value;

/** In standard operators: two passes. */
export const multiplyThenAdd: MultiplyAdd = (build, addend, value, factor) =>
  build.op('Add', [addend, build.op('Mul', [value, typeof factor === 'number' ? build.float32(factor) : factor])]);

/**
 * An optimiser: how a tensor moves by its gradient. Constants are folded, so that a step makes few passes over memory; the results are those of
 * PyTorch's optimiser of the same name.
 */
export interface Optimizer {
  readonly id: string;
  /** Tensors that it keeps beside each trained tensor; all start at 0. */
  readonly slots: readonly string[];
  /** Names of the scalars, whatever the step. */
  readonly scalarNames: readonly string[];
  /** Scalars of step `step` (0 first) at the learning rate `rate`. */
  scalars(step: number, rate: number): StepScalars;
  /** Adds the update to the graph. Works on whole tensors and on blocks of them alike. */
  update(build: GraphBuilder, inputs: UpdateInputs, multiplyAdd?: MultiplyAdd): UpdateOutputs;
}
