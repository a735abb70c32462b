import type { AllocationItem, AllocationOption, ParetoPoint } from '../common/allocation/types';
import type { TrainingEvaluation } from './training';

export type { AllocationItem, AllocationOption, ParetoPoint };

/** One output file with its size. */
export interface OutputFile {
  readonly path: string;
  readonly bytes: number;
}

/** A layer in a report. */
export interface LayerReport {
  readonly name: string;
  readonly shape: readonly number[];
  /** Bits of a code. */
  readonly bits: number;
  /** All bits stored for the layer (codes, scales, zero points) divided by its weights. */
  readonly bitsPerWeight: number;
  readonly weights: number;
  /** Norm of the weight error divided by the norm of the weights. */
  readonly relativeError: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Where groups of a layer have different widths; `bits` is then their mean over weights. */
  readonly histogram?: BitHistogram;
}

/** How many weights of a layer are stored with which width. */
export interface BitHistogram {
  readonly bits: readonly number[];
  /** Weights, same length as `bits`. */
  readonly weights: readonly number[];
}

/** What was decided under a budget: enough to move the budget again without the model. */
export interface AllocationReport {
  readonly budget: number;
  readonly unit: string;
  readonly sensitivity: string;
  readonly predictedLoss: number;
  /** Foretold, from the smallest size on, then what was measured. */
  readonly curve: readonly ParetoPoint[];
  /** Per item (tensor, channel or group, in the order of the layers): its options. Absent where there are more than 20,000 items: `items` then holds sums per tensor. */
  readonly items: readonly AllocationItem[];
  /** Chosen option of each item. */
  readonly chosen: readonly number[];
}

/** One check of a verification: what was measured, against which limit. */
export interface VerificationCheck {
  /** `bytes`, `blocks`, `logits-exact`, `logits-default`, ... */
  readonly name: string;
  readonly passed: boolean;
  readonly measured: number;
  readonly limit: number;
  /** `absolute`, `relative`, `nats`, `mismatches`. */
  readonly unit: string;
  readonly note?: string;
}

/** Float and result run on the same inputs. */
export interface Verification {
  readonly passed: boolean;
  /** `whole` where the whole model ran, `blocks` where it did not fit and only blocks were compared, `bytes` where nothing can run. */
  readonly scope: 'whole' | 'blocks' | 'bytes';
  readonly checks: readonly VerificationCheck[];
}

/** Where and with what a job ran. */
export interface RunEnvironment {
  readonly provider: string;
  /** One sentence: why this provider. */
  readonly providerReason: string;
  readonly runtime: string;
  readonly threads: number;
}

/** Time of one forward pass, float and result, on this machine. */
export interface LatencyReport {
  /** Tokens or samples in the measured pass. */
  readonly batch: number;
  readonly beforeMilliseconds: number;
  readonly afterMilliseconds: number;
  /** A plain sentence; says so when the smaller file is slower. */
  readonly summary: string;
}

/** `report.json`, and what `compress --json` prints. */
export interface CompressReport {
  readonly kind: 'compress';
  readonly version: string;
  readonly method: string;
  readonly format: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly source: {
    readonly path: string;
    readonly architecture: string;
    readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
  };
  readonly seed: number;
  readonly parameterCount: number;
  readonly bitsPerWeight: number;
  /** Sizes of the files that hold weights or graphs, without configuration and tokenizer. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Bytes in memory once loaded, where that differs from the file (self-unpacking graphs). */
  readonly loadedBytes?: number;
  readonly layers: readonly LayerReport[];
  readonly verification: Verification;
  readonly latency?: LatencyReport;
  readonly environment: RunEnvironment;
  readonly seconds: number;
  readonly peakRssBytes: number;
  readonly outputs: readonly OutputFile[];
  /** Relative path of the file that `evaluate` and `inspect` use. */
  readonly primary: string;
  readonly notes: readonly string[];
  /** With a budget: what was chosen and the whole curve. */
  readonly allocation?: AllocationReport;
}

/** A model's quality on held-out data. */
export interface QualityReport {
  readonly metric: 'perplexity' | 'accuracy' | 'auc' | 'loss';
  readonly value: number;
  readonly loss: number;
  readonly samples: number;
}

/** What `learn-bits` prints and writes as report.json: a compression, and how it was learned. */
export interface LearnReport extends Omit<CompressReport, 'kind' | 'format'> {
  readonly kind: 'learn';
  readonly formats: readonly string[];
  readonly training: {
    readonly steps: number;
    readonly bestStep: number;
    readonly mode: 'loop' | 'steps';
    readonly modeReason: string;
    readonly stepsPerSecond: number;
    readonly resumedFrom?: number;
    readonly curve: readonly { readonly step: number; readonly loss: number; readonly metrics: Readonly<Record<string, number>> }[];
    readonly evaluations: readonly TrainingEvaluation[];
  };
  /** Bytes of the whole model by the ways of counting; `deflated` is what deflate leaves of the archive's codes. */
  readonly sizes: {
    readonly float32: number;
    readonly estimated: number;
    readonly true: number;
    readonly onDisk: Readonly<Record<string, number>>;
    readonly deflated?: number;
  };
  /** Before (float), with the learned widths, and by format where it differs (snapped widths). */
  readonly quality: {
    readonly before?: QualityReport;
    readonly after?: QualityReport;
    readonly byFormat?: Readonly<Record<string, QualityReport>>;
  };
}

/** What `evaluate` prints. */
export interface EvaluateReport {
  readonly kind: 'evaluate';
  readonly metric: 'perplexity' | 'accuracy' | 'auc';
  readonly value: number;
  /** Mean negative log-likelihood in nats per token or sample. */
  readonly loss: number;
  readonly tokens?: number;
  readonly samples?: number;
  readonly windows?: number;
  readonly window?: number;
  /** Choices that the number depends on: BOS, window, text encoding. */
  readonly choices: readonly string[];
  readonly environment: RunEnvironment;
  /** From opening the model to the result. */
  readonly seconds: number;
  /** Of `seconds`, for text: scoring alone, without opening the model, encoding the text and preparing an ONNX graph. */
  readonly scoringSeconds?: number;
  /** tokens / scoringSeconds. */
  readonly tokensPerSecond?: number;
  readonly peakRssBytes: number;
}

/** One tensor in `compare A B`. */
export interface TensorComparison {
  readonly name: string;
  readonly status: 'equal' | 'changed' | 'only-in-first' | 'only-in-second' | 'shape-differs';
  readonly cosine?: number;
  /** Signal to quantisation-noise ratio in decibels; absent where the tensors are equal or cannot be compared. */
  readonly sqnr?: number;
  readonly largestError?: number;
  readonly relativeError?: number;
  readonly note?: string;
}

/** What `compare` prints. */
export interface CompareReport {
  readonly kind: 'compare';
  readonly first: string;
  readonly second: string;
  readonly equal: number;
  readonly changed: number;
  readonly missing: number;
  readonly tensors: readonly TensorComparison[];
  /** What was left out or could not be compared, as sentences. */
  readonly notes?: readonly string[];
  readonly seconds: number;
  readonly peakRssBytes: number;
}

/** What `inspect` prints; also a recipe step's result. */
export type StepReport = CompressReport | LearnReport | EvaluateReport | CompareReport | InspectReport;

/** The model summary as a step of a recipe. */
export interface InspectReport {
  readonly kind: 'inspect';
  readonly summary: import('./model').ModelSummary;
}

/** What `run` prints: one report per step, in order. */
export interface RecipeReport {
  readonly kind: 'recipe';
  readonly recipe: string;
  /** `skipped`: done by an earlier run and unchanged since (--resume). */
  readonly steps: readonly { readonly name: string; readonly report: StepReport; readonly skipped?: boolean }[];
  readonly seconds: number;
}

/** The result of any job. */
export type JobReport = StepReport | RecipeReport;
