import type { ErrorData } from './errors';
import type { JobDescription } from './kinds';
import type { BitHistogram, JobReport } from './report';
import type { TrainingProgress, TrainSpec } from './training';

/** Where results run. With `auto`, the report states which one was chosen and why. */
export const providerChoices = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;
export type ProviderChoice = (typeof providerChoices)[number];

/** Settings that every job takes. */
export interface SharedJobOptions {
  readonly provider?: ProviderChoice;
  readonly threads?: number;
  /** Host memory limit of the job's process in bytes. */
  readonly maxMemory?: number;
  readonly seed?: number;
}

/** Specification of a job. The other keys are its kind's own: a step's by its kind's fields, a recipe's as below. */
export interface JobSpec extends SharedJobOptions {
  readonly kind: string;
}

export const outputFormats = ['hf', 'onnx', 'onnx-fast', 'onnx-packed', 'archive'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** What bits under a budget are decided for: a whole tensor, an output channel, or a group of weights. */
export const allocationUnits = ['tensor', 'channel', 'group'] as const;
export type AllocationUnit = (typeof allocationUnits)[number];

/** How the loss of fewer bits is predicted. */
export const sensitivityMeasures = ['error', 'activation', 'gradient', 'divergence'] as const;
export type SensitivityMeasure = (typeof sensitivityMeasures)[number];

/** Parameters for the tensors whose name matches a glob, over the general ones: `*.down_proj.weight=bits:8,groupSize:64`. */
export interface TensorOverride {
  readonly glob: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Make a model smaller. */
export interface CompressSpec extends JobSpec {
  readonly kind: 'compress';
  readonly model: string;
  readonly method: string;
  /** The method's parameters by key; missing ones take their defaults. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Only tensors whose name matches. */
  readonly tensors?: string;
  readonly overrides?: readonly TensorOverride[];
  readonly embeddings?: boolean;
  readonly head?: boolean;
  readonly format: OutputFormat;
  readonly out: string;
  readonly keepFailed?: boolean;
  /** Bits per weight over all compressed tensors, side information counted: widths are chosen under it. */
  readonly budget?: number;
  readonly unit?: AllocationUnit;
  readonly sensitivity?: SensitivityMeasure;
  /** A `.txt` or `.jsonl`, or `random`: what methods with statistics are calibrated on, and what sensitivity is measured on; default the method's and the measure's own. */
  readonly calibration?: string;
  /** For methods with statistics: windows of the calibration text, and tokens of each. */
  readonly samples?: number;
  readonly window?: number;
  /** With a text or data for calibration: other sizes of which the loss is measured too, from half to twice the budget. */
  readonly measure?: number;
}

/** Train a model so that few bits suffice, and write it. */
export interface LearnSpec extends JobSpec, TrainSpec {
  readonly kind: 'learn';
  readonly model: string;
  /** `diffq`, `qat`, `lsq`, `quant-noise`, `pqk`, or `float` for plain training. */
  readonly method: string;
  /** The method's parameters by key; missing ones take their defaults. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** One of both for methods that learn widths. */
  readonly targetBits?: number;
  readonly penalty?: number;
  /** Learning rate of the widths, for methods that learn them. */
  readonly logitRate: number;
  /** `trained`: from the model's weights; `scratch`: from seeded random weights of the same shapes. */
  readonly start?: 'trained' | 'scratch';
  readonly exclude?: readonly string[];
  /** MiB of float32; smaller tensors stay float. */
  readonly minimumSize?: number;
  /** Store what stays float as float16. Default true. */
  readonly halfRest?: boolean;
  readonly formats: readonly OutputFormat[];
  readonly out: string;
  readonly keepFailed?: boolean;
}

/** How the values of an output may be read. */
export const outputReadings = ['auto', 'logits', 'probabilities'] as const;
export type OutputReading = (typeof outputReadings)[number];

/** Measure a model on text or data. */
export interface EvaluateSpec extends JobSpec {
  readonly kind: 'evaluate';
  readonly model: string;
  readonly text?: string;
  readonly window?: number;
  /** Only the first windows. */
  readonly limit?: number;
  readonly data?: string;
  readonly split?: string;
  /** Tables only: input name, `label` or `split` to a column name, or a glob over several columns. */
  readonly columns?: Readonly<Record<string, string>>;
  readonly batch?: number;
  /** What the first output holds on data. Default auto: from the graph, and from whether its rows sum to 1. */
  readonly outputs?: OutputReading;
}

/** Let a language model continue a text. */
export interface GenerateSpec extends JobSpec {
  readonly kind: 'generate';
  readonly model: string;
  /** Default: only the start token. */
  readonly prompt?: string;
  /** Continue the prompt as it is although the model has a chat template. */
  readonly raw?: boolean;
  readonly greedy?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
}

/** Compare two models tensor by tensor. */
export interface CompareSpec extends JobSpec {
  readonly kind: 'compare';
  readonly first: string;
  readonly second: string;
  readonly tensors?: string;
}

/** Look into a model, as a step of a recipe. */
export interface InspectSpec extends JobSpec {
  readonly kind: 'inspect';
  readonly model: string;
}

/** Run a recipe file. */
export interface RecipeSpec extends JobSpec {
  readonly kind: 'recipe';
  readonly recipe: string;
  /** Skip what an earlier run finished, and continue from the checkpoint of what it did not. */
  readonly resume?: boolean;
  /** Delete checkpoints that an interrupted run left, and train from the beginning. */
  readonly startOver?: boolean;
}

/** True for a compression: the job whose budget the Bit allocation panel can move. */
export function isCompression(spec: JobSpec): spec is CompressSpec {
  return spec.kind === 'compress';
}

/** True for the job that runs the steps of a recipe file. */
export function isRecipe(spec: JobSpec): spec is RecipeSpec {
  return spec.kind === 'recipe';
}

/** How far a job is: a whole snapshot, at most about ten a second, latest wins. */
export interface JobProgress {
  readonly phase: string;
  readonly done: number;
  /** Undefined while unknown. */
  readonly total?: number;
  readonly unit: string;
  readonly message?: string;
  readonly elapsedSeconds: number;
  readonly remainingSeconds?: number;
  readonly rssBytes: number;
  /** Layers finished so far, for the panel that fills while the job runs. */
  readonly layers?: readonly {
    readonly name: string;
    readonly bits: number;
    readonly weights: number;
    readonly relativeError: number;
    readonly bytesBefore: number;
    readonly bytesAfter: number;
    /** Where groups of a layer have different widths. */
    readonly histogram?: BitHistogram;
  }[];
  /** Training so far: the newest values and thinned curves. */
  readonly training?: TrainingProgress;
  /** Generating: the text so far, without a last character that is not complete yet. */
  readonly text?: string;
}

/** What a job will need, before it starts. */
export interface Forecast {
  readonly hostMemoryBytes: number;
  readonly hostMemoryAvailableBytes: number;
  /** The limit in force: `--max-memory` or what is free. */
  readonly hostMemoryLimitBytes: number;
  readonly deviceMemoryBytes?: number;
  readonly deviceMemoryAvailableBytes?: number;
  /** Everything that is written, on all disks. */
  readonly diskBytes: number;
  readonly diskAvailableBytes: number;
  /** Where the job writes to several disks: what it needs of each. */
  readonly disks?: readonly { readonly folders: readonly string[]; readonly bytes: number; readonly availableBytes: number }[];
  readonly seconds: number;
  readonly provider: string;
  readonly providerReason: string;
  /** Empty where the job can start; otherwise one sentence for each shortfall, with the missing amount. */
  readonly shortfalls: readonly string[];
  readonly notes: readonly string[];
}

/** A job as the Jobs tree shows it. */
export interface JobState {
  readonly id: string;
  readonly spec: JobSpec;
  readonly description: JobDescription;
  /** `interrupted`: its processes were gone before it ended. */
  readonly status: 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted';
  /** ISO time. */
  readonly startedAt: string;
  readonly progress?: JobProgress;
  readonly report?: JobReport;
  /** What it came to, in a few words. */
  readonly outcome?: string;
  readonly error?: ErrorData;
}
