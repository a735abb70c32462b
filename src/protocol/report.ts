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
  /** How the layer is stored. Absent if it was left as it is. */
  readonly layout?: LayerLayout;
}

/** How a layer is stored in the output: all that reading it back needs. Plain data. */
export interface LayerLayout {
  /** Storage form: `matmul-nbits`, `dequantize-linear`, ...; `archive`; `values` where the output holds dequantised weights. */
  readonly form: string;
  /** The matrix as it was compressed: linear layers as [out, in]. */
  readonly rows: number;
  readonly columns: number;
  /** True if the model stores the transpose of that matrix. */
  readonly transposed?: true;
  /** Names in the file of the tensors that the form stores, by what they are: `codes`, `scales`, ... */
  readonly pieces?: Readonly<Record<string, string>>;
  /** What the form needs besides the pieces. */
  readonly details?: Readonly<Record<string, unknown>>;
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
  /** Predicted, from the smallest size on, then what was measured. */
  readonly curve: readonly ParetoPoint[];
  /** Per item (tensor, channel or group, in the order of the layers): its options. Absent if there are more than 20,000 items: `items` then holds sums per tensor. */
  readonly items: readonly AllocationItem[];
  /** Chosen option of each item. */
  readonly chosen: readonly number[];
}

/** One check of a verification: what was measured, against which limit. */
export interface VerificationCheck {
  /** `bytes`, `blocks`, `logits-exact`, `outputs-default`, `identical`, ... */
  readonly name: string;
  readonly passed: boolean;
  readonly measured: number;
  readonly limit: number;
  /** `relative`, `nats`, `mismatches`, `share of values`, ... */
  readonly unit: string;
  readonly note?: string;
}

/** How far compression moved the model, on inputs that say nothing about its task: enough to tell a working model from a ruined one. */
export interface OutputChange {
  /** What was compared with the float model: its outputs on random inputs, its predictions on random tokens, or, where nothing can run, the weights of the layer that changed most. */
  readonly of: 'outputs' | 'predictions' | 'weights';
  readonly measured: number;
  /** Beyond this the verdict is `changed`. */
  readonly limit: number;
  /** Norm of the difference divided by the norm of the original; mean Kullback-Leibler divergence per token; or the share of whole numbers that became others. */
  readonly unit: 'relative' | 'nats' | 'share of values';
}

/** `passed`: the output is what was planned. `changed`: it is, but the plan changed the model so much that it hardly works. `failed`: it is not what was planned. */
export type Verdict = 'passed' | 'changed' | 'failed';

/** Float and result run on the same inputs. */
export interface Verification {
  /** True if the output is what was planned: the verdict is then `passed` or `changed`. */
  readonly passed: boolean;
  /** Absent in reports of earlier versions; read it with `verdictOf` of `verdict.ts`. */
  readonly verdict?: Verdict;
  /** Absent where training made the weights, and where none changed. */
  readonly change?: OutputChange;
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
  /** A sentence; warns if the smaller file is slower. */
  readonly summary: string;
}

/** What a job prints with `--json`, and what it came to. The other keys are its kind's own. */
export interface JobReport {
  readonly kind: string;
}

/** `report.json` beside a model that a job has written, and what its command prints. A kind adds fields of its own. */
export interface ModelReport extends JobReport {
  readonly version: string;
  readonly method: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** The model that it was made from. */
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
  /** Where the model was trained. */
  readonly training?: TrainingReport;
}

/** How a model was trained. */
export interface TrainingReport {
  readonly steps: number;
  readonly bestStep: number;
  readonly mode: 'loop' | 'steps';
  readonly modeReason: string;
  readonly stepsPerSecond: number;
  readonly resumedFrom?: number;
  /** Numbers of threads with which it ran, in turn, where it was resumed with another. */
  readonly threads?: readonly number[];
  readonly curve: readonly { readonly step: number; readonly loss: number; readonly metrics: Readonly<Record<string, number>> }[];
  readonly evaluations: readonly TrainingEvaluation[];
}

/** The fields that identify the model's file: every report.json of ours has had them since the first version. */
export type ModelReportHead = Pick<ModelReport, 'kind' | 'version' | 'primary' | 'layers'>;

/**
 * True for the content of a report.json that Loomweight wrote beside a model, whichever kind of job it was. No other program's report has all four fields:
 * `kind` and `version` as words, `primary` as a path, `layers` as a list.
 */
export function isModelReport(value: unknown): value is ModelReportHead & Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, version, primary, layers } = value as Readonly<Record<string, unknown>>;
  return [kind, version, primary].every((field) => typeof field === 'string') && Array.isArray(layers);
}

/** What the report of a model lacks of what every version has written; undefined if it is whole. */
export function reportProblem(report: ModelReportHead & Readonly<Record<string, unknown>>): string | undefined {
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
  const missing = (['settings', 'source', 'verification'] as const).find((key) => !isObject(report[key]));
  if (missing !== undefined) return `The report of a model needs '${missing}'`;
  const layer = (report.layers as readonly unknown[]).findIndex(
    (each) => !isObject(each) || typeof (each as { readonly name?: unknown }).name !== 'string',
  );
  return layer < 0 ? undefined : `Layer ${layer} of the report has no name`;
}

/** `report.json` of a compression, and what `compress --json` prints. */
export interface CompressReport extends ModelReport {
  readonly kind: 'compress';
  readonly format: string;
}

/** A model's quality on held-out data. */
export interface QualityReport {
  readonly metric: 'perplexity' | 'accuracy' | 'auc' | 'loss';
  readonly value: number;
  readonly loss: number;
  readonly samples: number;
}

/** What `learn-bits` prints and writes as report.json: a compression, and how it was learned. */
export interface LearnReport extends ModelReport {
  readonly kind: 'learn';
  readonly formats: readonly string[];
  readonly training: TrainingReport;
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
export interface EvaluateReport extends JobReport {
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

/** What `generate` prints. */
export interface GenerateReport extends JobReport {
  readonly kind: 'generate';
  readonly prompt: string;
  /** What the model wrote behind the prompt. */
  readonly text: string;
  readonly promptTokens: readonly number[];
  readonly tokens: readonly number[];
  /** Natural logarithm of the probability of each token under the model, at temperature 1 and without limits. */
  readonly logProbabilities: readonly number[];
  /** `end`: the model wrote an end token, which is the last of `tokens`; `length`: the limit was reached. */
  readonly stopped: 'end' | 'length';
  /** What the text depends on: start token, sampling, form of the model. */
  readonly choices: readonly string[];
  readonly seed: number;
  readonly environment: RunEnvironment;
  readonly seconds: number;
  /** Of `seconds`: without opening and loading the model. */
  readonly generatingSeconds: number;
  readonly tokensPerSecond: number;
  readonly peakRssBytes: number;
}

/** One tensor in `compare A B`. */
export interface TensorComparison {
  readonly name: string;
  readonly status: 'equal' | 'changed' | 'only-in-first' | 'only-in-second' | 'shape-differs';
  readonly cosine?: number;
  /** Signal to quantisation-noise ratio in decibels; absent if the tensors are equal or cannot be compared. */
  readonly sqnr?: number;
  readonly largestError?: number;
  readonly relativeError?: number;
  readonly note?: string;
}

/** What `compare` prints. */
export interface CompareReport extends JobReport {
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

/** The model summary as a step of a recipe. */
export interface InspectReport extends JobReport {
  readonly kind: 'inspect';
  readonly summary: import('./model').ModelSummary;
}

/** What `run` prints: one report per step, in order. */
export interface RecipeReport extends JobReport {
  readonly kind: 'recipe';
  readonly recipe: string;
  /** `skipped`: done by an earlier run and unchanged since (--resume). */
  readonly steps: readonly { readonly name: string; readonly report: JobReport; readonly skipped?: boolean }[];
  readonly seconds: number;
}
