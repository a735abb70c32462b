import type { CustomGradient } from '../../autodiff/differentiate';
import type { GraphBuilder } from '../../graph/builder';
import type { Node, Value } from '../../graph/graph';
import type { Optimizer } from '../optimizers/optimizer';
import type { StateTensor } from '../state';

/** A tensor that is trained by its gradient, as values of the step's graph. */
export interface TrainedTensor {
  readonly state: StateTensor;
  /** As the step got it, in `state.shape`. */
  readonly value: Value;
  /** As the step got it, in the shape that the planner carries. */
  readonly carried: Value;
  /** In the carried shape. */
  readonly slots: Readonly<Record<string, Value>>;
  readonly optimizer: Optimizer;
  readonly scalars: Readonly<Record<string, Value>>;
}

/** A trained tensor after the step, in the carried shape. */
export interface UpdatedTensor {
  readonly value: Value;
  readonly slots: Readonly<Record<string, Value>>;
}

/** What a planner sees when the loss is built and before anything is differentiated. */
export interface PlannedStep {
  readonly build: GraphBuilder;
  /** Nodes of the forward pass and the loss. */
  readonly nodes: readonly Node[];
  /** What is differentiated. */
  readonly target: Value;
  readonly tensors: readonly TrainedTensor[];
  /** Regions that the method and the losses declared. */
  readonly regions: readonly CustomGradient[];
  /** True if all gradients are scaled by their common norm first, so that no update may start before the last gradient is known. */
  readonly clipped: boolean;
}

/**
 * Decides for each trained tensor how its gradient and its update are built. The plain planner takes the whole gradient and updates the whole tensor; a
 * planner for large matrices may keep the gradient back (its own region returns none for the weight) and build it block by block with the update.
 */
export interface UpdatePlanner {
  /** Shape in which a tensor and its slots go from step to step: the same values in the same order as `state.shape`. */
  carriedShape(state: StateTensor): readonly number[];
  /** Called once for each step graph. */
  plan(step: PlannedStep): UpdatePlan;
}

export interface UpdatePlan {
  /** Added to the differentiation; they come before the method's own. */
  readonly regions: readonly CustomGradient[];
  /**
   * The updates. `gradient` gives d(loss)/d(tensor), clipped where the job clips; undefined if the loss does not depend on the tensor or a region
   * of the plan kept its gradient back. A tensor without an entry in the result stays unchanged.
   */
  finish(gradient: (tensor: TrainedTensor) => Value | undefined): ReadonlyMap<TrainedTensor, UpdatedTensor>;
}
