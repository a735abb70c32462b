import type { JobSpec } from './jobs';
import type { JobReport, RunEnvironment } from './report';

/** Where calibration samples come from besides texts: written by the model itself, or uniform random tokens. */
export const calibrationSources = ['self', 'random'] as const;

/** Make token sequences that a compression is calibrated on. */
export interface CalibrateSpec extends JobSpec {
  readonly kind: 'calibrate';
  readonly model: string;
  /** One of `calibrationSources`, or the path of a text: UTF-8, or JSON lines with a `text` each. */
  readonly source: string;
  readonly samples: number;
  /** With a text: the model continues that many tokens of it, and the most probable of what it writes is kept. */
  readonly prefix?: number;
  /** Tokens of a sample, with the start token. Default: the smaller of the context and 2048. */
  readonly length?: number;
  /** As `parseTemperatures` reads it. */
  readonly temperature?: string;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  /** A `.jsonl` file that does not exist yet. */
  readonly out: string;
}

/** What token sequences are like. */
export interface SequenceStatistics {
  /** Bits per token. */
  readonly unigramEntropy: number;
  /** Share of different n-grams among all, for n = 1, 2, 3. */
  readonly distinct: readonly number[];
  /** Share of 4-grams that occurred before in their sequence. */
  readonly repetition: number;
  /** exp of the mean negative log probability of the tokens under the model; only of text that it wrote. Start tokens of packed documents do not count. */
  readonly perplexity?: number;
}

/** What a whole set is like. */
export interface SetStatistics extends SequenceStatistics {
  readonly differentTokens: number;
  /** Undefined where the size of the vocabulary is not known. */
  readonly vocabularyCoverage?: number;
  readonly documents: number;
  readonly differentSequences: number;
  /** Shares of scripts (`Latin`, `Han`, ...) among the letters, largest first. */
  readonly scripts: readonly { readonly script: string; readonly share: number }[];
}

/** What `calibrate` prints. */
export interface CalibrateReport extends JobReport {
  readonly kind: 'calibrate';
  /** `self`, `random`, `text` or `prefix`. */
  readonly source: string;
  readonly samples: number;
  readonly length: number;
  readonly tokens: number;
  /** SHA-256 of the model's weights, as in the file. */
  readonly model: string;
  readonly seed: number;
  readonly statistics: SetStatistics;
  /** Statistics and the beginning of each sample, in the order of the file. */
  readonly perSample: readonly (SequenceStatistics & { readonly beginning: string })[];
  readonly choices: readonly string[];
  readonly environment: RunEnvironment;
  readonly seconds: number;
  /** Of `seconds`: making the sequences, without opening and loading the model. */
  readonly generatingSeconds: number;
  readonly tokensPerSecond: number;
  readonly peakRssBytes: number;
  readonly out: string;
  readonly bytes: number;
}
