import type { TrainingEvaluation } from '../../protocol/training';
import type { CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';

/** One tensor that a training changes. All are float32. */
export interface TrainVariable {
  /** Unique among variables and frozen tensors. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Group whose optimiser moves it by its gradient. Undefined: only `StepLoss.next` and `refresh` change it. */
  readonly group: string | undefined;
  /** Values before the first step. The caller takes a copy where it keeps them. */
  initial(): Promise<Float32Array>;
}

/** One float32 tensor that steps read and never change: it enters a run once, and no step carries or copies it. */
export interface FrozenTensor {
  /** Unique among variables and frozen tensors. */
  readonly name: string;
  readonly shape: readonly number[];
  values(): Promise<Float32Array>;
}

/** Variables and frozen tensors on the host, by name. */
export type HostValues = (name: string) => Float32Array;

/** What an objective may use while it adds its part of a step to the graph. */
export interface ObjectiveStep {
  readonly build: GraphBuilder;
  /** A variable as it is before this step, or a frozen tensor. */
  value(name: string): Value;
  /** Inputs and `label` of this step's batch. */
  readonly batch: Readonly<Record<string, Value>>;
  /** Number of this step, float32 scalar (0 first). */
  readonly step: Value;
  /** A number that `StepObjective.scalars` gives for this step: float32 scalar. */
  scalar(name: string): Value;
  /** Fresh noise for this step, float32 of that shape: `uniform` in [-0.5, 0.5), `gaussian` with standard deviation 1. A function of (seed, step, key). */
  noise(key: string, shape: readonly number[], kind: 'uniform' | 'gaussian'): Value;
  /** Declares a gradient of its own for a stretch of the graph. */
  custom(region: CustomGradient): void;
  /** Whether the provider is faster at convolutions with the batch as last axis: `ForwardOptions`. */
  readonly batchLast: boolean;
}

/** What a step minimises, and what it changes besides. */
export interface StepLoss {
  /** What is differentiated: a float32 scalar. */
  readonly target: Value;
  /** What curves show as the loss, where that is only a part of `target`. Default: `target`. */
  readonly loss?: Value;
  /** New values of variables without a group, by name; the others keep theirs. */
  readonly next?: Readonly<Record<string, Value>>;
  /** Numbers worth watching, float32 scalars, by name. */
  readonly metrics?: Readonly<Record<string, Value>>;
}

/**
 * What steps compute: variables, and a loss built from them, from frozen tensors and from a batch. The trainer knows nothing of a model: what is trained may be
 * a model's own tensors, or quantities from which a model's weights are computed in the graph.
 */
export interface StepObjective {
  readonly variables: readonly TrainVariable[];
  readonly frozen: readonly FrozenTensor[];
  /** Numbers that differ from step to step, computed on the host: the same names at every step. */
  scalars?(step: number): Readonly<Record<string, number>>;
  /** Adds one step's loss to the graph. Called once. Errors: `unsupported` for what it cannot train. */
  addLoss(step: ObjectiveStep): StepLoss;
  /**
   * Work on the host between steps, at fixed steps whatever the length of runs: thresholds, observers. `apply` is called before step `step` runs, for each
   * multiple of `every` but 0, and gives new values of variables by name.
   */
  readonly refresh?: {
    readonly every: number;
    apply(values: HostValues, step: number): Readonly<Record<string, Float32Array>>;
  };
}

/** An evaluation, and what decides which of several is the best. */
export interface Judgement {
  readonly evaluation: TrainingEvaluation;
  /** Compared number by number from the first on; the lowest is the best, and of equal ones the earlier. */
  readonly rank: readonly number[];
}

/** A whole training: what steps compute, how states are judged, and what is made of the best one. */
export interface Objective<Result> extends StepObjective {
  /** Judges the state after `step` steps on data that no step sees. Errors: `cancelled`. */
  evaluate(values: HostValues, step: number, signal: AbortSignal | undefined): Promise<Judgement>;
  /** The result, from the best state. */
  result(values: HostValues): Result | Promise<Result>;
  /** Releases what evaluations prepared; called once, before `result`, however the training ends. */
  release?(): Promise<void>;
}
