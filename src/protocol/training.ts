/** What any training needs, whatever is trained. The random seed is a setting of the job. */
export interface TrainSpec {
  /** Folder of NumPy files, a table, or a text file for language models. */
  readonly data: string;
  readonly columns?: Readonly<Record<string, string>>;
  readonly steps: number;
  /** Samples, or windows of text, in a step. */
  readonly batch: number;
  readonly rate: number;
  readonly optimizer: 'adam' | 'adamw' | 'sgd';
  /** `sgd` only. */
  readonly momentum?: number;
  /** `sgd` with momentum: looks one step ahead along it. */
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  readonly schedule: 'constant' | 'step' | 'cosine';
  readonly warmup?: number;
  /** Largest norm of all gradients together. */
  readonly clip?: number;
  readonly loss: 'auto' | 'cross-entropy' | 'binary' | 'mse';
  /** Tokens of a window of text. */
  readonly window?: number;
  /** Steps between evaluations; default: a tenth of all. */
  readonly evaluateEvery?: number;
  /** Held-out text for language models; data folders and tables have a split of their own. */
  readonly validation?: string;
  /** Resume from the checkpoint that an interrupted run left beside the output. */
  readonly resume?: boolean;
  /** Delete such a checkpoint and train from the beginning. Without either a checkpoint is never overwritten. */
  readonly startOver?: boolean;
}

/** Live state of a training: whole snapshot, curves thinned to at most 400 points. */
export interface TrainingProgress {
  readonly step: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  /** `loop`: whole steps inside the runtime; `steps`: one run for each, where the provider has no Loop. */
  readonly mode: 'loop' | 'steps';
  /** Mean loss of the steps between points, and the method's own numbers (`bits`, `size`). */
  readonly curve: readonly { readonly step: number; readonly loss: number; readonly metrics: Readonly<Record<string, number>> }[];
  /** On held-out data, with what would be written: quantised weights where the method quantises. */
  readonly evaluations: readonly TrainingEvaluation[];
  readonly bestStep?: number;
}

/** One evaluation of a training. */
export interface TrainingEvaluation {
  readonly step: number;
  readonly loss: number;
  readonly value: number;
  /** What `value` is: `accuracy`, `perplexity`, ... */
  readonly metric: string;
  /** Absent for trainings that decide no widths. */
  readonly bitsPerWeight?: number;
}
