import type { ParamSpec, ParamValues } from '../../common/params';
import type { LearnedTensor } from '../formats/archive/learnedTensor';
import type { MethodSource } from '../../protocol/methods';
import type { TensorRole } from '../../protocol/model';
import type { CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { RegionGradient } from '../graph/gradient';
import type { Value } from '../graph/graph';
import type { BatchInput } from './batches';
import type { GroupSettings } from './optimizers/groups';

/**
 * What the trainer trains: named float32 tensors and a function from them and a batch to outputs. Linear weights are held as [in, out]
 * (`transposed` to the canonical [out, in]), so that a batch of rows times the weight needs no transposition and groups along `in` are whole rows
 * of the held tensor; everything else is held as stored.
 */
export interface TrainableModel {
  /** For messages and reports. */
  readonly name: string;
  /** Every tensor that may be trained, each once (tied tensors have one entry and several uses). */
  readonly parameters: readonly TrainableParameter[];
  /** Statistics that change with batches but have no gradient: running means and variances. */
  readonly buffers: readonly TrainableBuffer[];
  /** Inputs of one batch of `batch` samples: names, types, shapes with the batch first. */
  inputs(batch: number): readonly BatchInput[];
  /**
   * Adds the forward pass to `build`. `weights` gives the value to use for each parameter and buffer by name. `training`: batch statistics and
   * dropout are on. Returns the outputs by name and new values of buffers.
   */
  forward(
    build: GraphBuilder,
    batch: Readonly<Record<string, Value>>,
    weights: (name: string) => Value,
    training: boolean,
    options?: ForwardOptions,
  ): ForwardPass;
}

/** How a forward pass is written down; changes its results by rounding only. */
export interface ForwardOptions {
  /** In training: values between convolutions have the batch as last axis, which is faster on a processor. Default: as the graph has it. */
  readonly batchLast?: boolean;
}

export interface ForwardPass {
  readonly outputs: Readonly<Record<string, Value>>;
  /** The first output as class scores (logits): where the model ends in Softmax, LogSoftmax or Sigmoid, the values before it. Undefined without outputs. */
  readonly scores: Value | undefined;
  readonly buffers: Readonly<Record<string, Value>>;
  /** Stretches with a gradient of their own. */
  readonly regions: readonly RegionGradient[];
}

export interface TrainableParameter {
  /** Name on disk. */
  readonly name: string;
  readonly role: TensorRole;
  /** Canonical shape: [out, in] for linear layers, as stored otherwise. */
  readonly shape: readonly number[];
  /** Shape in the trainer: [in, out] for `held: 'transposed'`, else `shape`. */
  readonly heldShape: readonly number[];
  readonly held: 'canonical' | 'transposed';
  /** True if the file stores the transpose of the canonical shape. */
  readonly storedTransposed: boolean;
  /** Names under which the same tensor is used or stored besides `name`: counted and quantised once. */
  readonly tiedTo: readonly string[];
  /** Those of `tiedTo` that are stored as the transpose of what is stored under `name`. Default: none. */
  readonly transposedCopies?: readonly string[];
  /** False if the graph's outputs do not depend on it: it gets no gradient, and its widths do not move. */
  readonly used: boolean;
  /** Start values in held order. */
  initial(): Promise<Float32Array>;
}

export interface TrainableBuffer {
  readonly name: string;
  readonly shape: readonly number[];
  initial(): Promise<Float32Array>;
}

/** One variable that a method adds: trained by gradient in a group, or carried from step to step. */
export interface MethodVariable {
  /** Unique: `logits/<tensor>`, `step/<tensor>`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial: Float32Array;
  /** `plain`: as the model's norms and biases; otherwise a group of the plan's own. Undefined: changed only through `carry` and `refresh`. */
  readonly group: string | undefined;
}

/** What a method may use while it adds its part of a step to the graph. */
export interface MethodStep {
  readonly build: GraphBuilder;
  /** The variable's value at this step. */
  variable(name: string): Value;
  /** Fresh noise for this step, float32 of that shape: `uniform` in [-0.5, 0.5), `gaussian` with standard deviation 1. From the pool; a function of (seed, step, key). */
  noise(key: string, shape: readonly number[], kind: 'uniform' | 'gaussian'): Value;
  /** Number of this step, float32 scalar (0 first), and the number of all steps. */
  readonly step: Value;
  readonly steps: number;
  /** Declares a gradient of its own for a stretch of the graph. */
  custom(region: CustomGradient): void;
}

/** The weights that a step runs with, and what they cost. */
export interface MethodForward {
  /** By parameter name, in held shape; parameters that are not listed are used unchanged. */
  readonly weights: Readonly<Record<string, Value>>;
  /** Differentiable size of the model in MiB (the method's own tensors and the rest), for the penalty; absent for methods of fixed size. */
  readonly size?: Value;
  /** Weight of `size` in this step's loss (float32 scalar), from a method that steers it towards a target; default: the job's penalty. */
  readonly penalty?: Value;
  /** New values of variables without a group. */
  readonly carry?: Readonly<Record<string, Value>>;
  /** Numbers worth watching, float32 scalars, by name: `bits`, `size`. */
  readonly metrics?: Readonly<Record<string, Value>>;
}

/** What a method has decided for one model: variables, the step's part of the graph, and the result on the host. */
export interface MethodPlan {
  /** Parameters that the method quantises, by name; the others stay float. */
  readonly quantized: readonly string[];
  readonly variables: readonly MethodVariable[];
  /** Settings of the groups that its variables name besides `plain`. Default: none. */
  readonly groups?: Readonly<Record<string, GroupSettings>>;
  /**
   * Passes through the model in a step, each with its own weights; default one, `student`. The loss of a step is the task's loss of the student, or what
   * `combine` makes of all.
   */
  readonly passes?: readonly string[];
  /** Adds the weights of one pass. Called once for each pass, in order. */
  forward(step: MethodStep, weights: (name: string) => Value, pass: string): MethodForward;
  /** Loss from the outputs of all passes; `task` is the task's own loss. */
  combine?(step: MethodStep, outputs: Readonly<Record<string, ForwardPass>>, task: (pass: ForwardPass) => Value): Value;
  /** Step from which a state is a result of the whole method; earlier ones are kept only while there is none. Default 0. */
  readonly settledFrom?: number;
  /**
   * Work on the host between steps, at fixed steps whatever the chunk: thresholds, observers. `apply` is called before step `step` runs, for each multiple
   * of `every` but 0, and gives new values of variables without a group.
   */
  readonly refresh?: {
    readonly every: number;
    apply(state: HostState, step: number): Readonly<Record<string, Float32Array>>;
  };
  /** Truly quantised tensors from the state after some step: what is evaluated and written. */
  realize(state: HostState): readonly LearnedTensor[];
  /** Sizes in bits as the published formulas count them. `estimated` before widths are rounded. */
  sizes(state: HostState): { readonly estimatedBits: number; readonly trueBits: number };
}

/** Parameters (held order; buffers too) and variables by name, on the host. */
export interface HostState {
  parameter(name: string): Float32Array;
  variable(name: string): Float32Array;
}

/** A way to train weights that will be stored with few bits: descriptor and one function that plans it for a model. */
export interface WeightMethod {
  readonly id: string;
  readonly label: string;
  readonly summary: string;
  readonly source: MethodSource;
  readonly parameters: readonly ParamSpec[];
  /** True if the widths are learned, so that a penalty or a target can steer them. */
  readonly learnsWidths: boolean;
  /**
   * Copies of all weights in float32 that a training holds at its peak beside the state of the optimiser: the best state, noise or rounded weights, what the backward pass needs of them,
   * the method's own variables. Measured (docs/benchmarks.md).
   */
  readonly workingCopies: number;
  plan(context: WeightMethodContext, parameters: ParamValues): MethodPlan;
}

export interface WeightMethodContext {
  readonly parameters: readonly TrainableParameter[];
  /** Start values in held order. */
  initial(name: string): Float32Array;
  /** Globs of tensors to keep as float. */
  readonly exclude: readonly string[];
  /** Only tensors above this many MiB of float32 are quantised (the authors' min_size). */
  readonly minimumSize: number;
  /** The rest is stored as float16 rather than float32. */
  readonly halfRest: boolean;
  /** Steps of the whole training. */
  readonly steps: number;
  /** Learning rate that the job gives to learned widths. */
  readonly logitRate: number;
  /** Average bits per weight to reach, counting side information over the quantised tensors; undefined if the penalty is given. */
  readonly targetBits?: number | undefined;
  /** Weight of the size in MiB in the loss; where a target is given, the first guess. */
  readonly penalty?: number | undefined;
}
