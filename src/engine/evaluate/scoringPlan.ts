import { formatBytes } from '../../common/units';
import { LoomweightError } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { expectedDecoderTensors } from '../architectures/decoder/expectedTensors';
import { blockBytes, floatBytes, runBytesPerToken } from '../blocks/blockMemory';
import { processBytes } from './textMemory';

/** How a decoder is cut so that scoring it stays under a memory limit. */
export interface ScoringPlan {
  /** All weights stay in memory as float32; otherwise they are read again for every group of windows. */
  readonly keepWeights: boolean;
  /** The embedding is read whole; otherwise row by row. */
  readonly wholeEmbedding: boolean;
  /** The head is read whole; otherwise `headSlice` rows of the vocabulary at a time. */
  readonly wholeHead: boolean;
  readonly headSlice: number;
  /** Windows whose hidden states are in memory together. */
  readonly windowsPerGroup: number;
  /** Windows in one run of a block. */
  readonly windowsPerRun: number;
  /** Positions in one run of the head. */
  readonly headRows: number;
  /** Largest resident size of the process. */
  readonly hostMemoryBytes: number;
}

/** What is scored, and what the process holds besides. */
export interface ScoringTask {
  readonly window: number;
  readonly count: number;
  /** Process, tokenizer and text (textMemory.ts). Default: the process alone. */
  readonly fixedBytes?: number;
}

/** Size of a run: positions that go through a block together, and bytes of logits that the head makes at a time. */
interface RunSize {
  readonly windows: number;
  readonly logitsBytes: number;
}

/** Most wanted first: 2,048 positions keep two cores busy; fewer cost a little time and save memory. */
const runSizes = [
  { tokens: 2048, logitsBytes: 8e6 },
  { tokens: 1024, logitsBytes: 8e6 },
  { tokens: 512, logitsBytes: 4e6 },
  { tokens: 1, logitsBytes: 1e6 },
];
/** A slice of the head's matrix where it is not read whole. */
const sliceBytes = 64e6;
/** V8 frees array buffers that are out of use when about this much of them has gathered. */
const garbageBytes = 48e6;
/** The runtime's arena grows by powers of two: up to twice its contents. */
const arenaSlack = 2;

/**
 * Plans a scoring run: weights resident if they fit, else block by block; runs as long as fit. Without a limit everything stays in
 * memory. Errors: `insufficient-memory` with the shortfall where not even one window and one block fit.
 */
export function planScoring(config: DecoderConfig, task: ScoringTask, limit: number | undefined): ScoringPlan {
  const { count, window } = task;
  const sizes = runSizes.map(({ tokens, logitsBytes }) => ({
    windows: Math.max(1, Math.min(count, Math.floor(tokens / window))),
    logitsBytes,
  }));
  const resident = sizes.map((size) => residentPlan(config, task, size));
  const fitting = limit === undefined ? resident[0] : resident.find((plan) => plan.hostMemoryBytes <= limit);
  if (fitting) return fitting;
  const streamed = sizes.map((size) => streamedPlan(config, task, size, limit ?? Infinity));
  const best = streamed.find((plan) => plan.hostMemoryBytes <= (limit ?? Infinity));
  if (best) return best;
  const least = Math.min(...[...resident, ...streamed].map((plan) => plan.hostMemoryBytes));
  throw new LoomweightError(
    'insufficient-memory',
    `Evaluation needs at least ${formatBytes(least)}, but the limit is ${formatBytes(limit ?? 0)}: ${formatBytes(least - (limit ?? 0))} short. ` +
      'Raise --max-memory or use a smaller window.',
    { needed: least, limit, shortfall: least - (limit ?? 0) },
  );
}

/** Weights stay in memory; a few windows at a time go through the whole model. */
function residentPlan(config: DecoderConfig, task: ScoringTask, size: RunSize): ScoringPlan {
  const weights = floatBytes(expectedDecoderTensors(config));
  return {
    keepWeights: true,
    wholeEmbedding: true,
    wholeHead: true,
    headSlice: config.vocabularySize,
    windowsPerGroup: size.windows,
    windowsPerRun: size.windows,
    headRows: headRowsOf(size, config.vocabularySize),
    hostMemoryBytes: (task.fixedBytes ?? processBytes) + weights + workingBytes(config, task, size, config.vocabularySize),
  };
}

/** One block's weights at a time; as many windows go through it as the limit leaves room for. */
function streamedPlan(config: DecoderConfig, task: ScoringTask, size: RunSize, limit: number): ScoringPlan {
  const { hiddenSize, vocabularySize } = config;
  const headSlice = Math.max(1, Math.min(vocabularySize, Math.floor(sliceBytes / (4 * hiddenSize))));
  const wholeTable = headSlice === vocabularySize;
  const block = blockBytes(config);
  const fixed = (task.fixedBytes ?? processBytes) + block + 4 * headSlice * hiddenSize + workingBytes(config, task, size, headSlice);
  const hiddenOfWindow = 4 * task.window * hiddenSize;
  const room = Math.floor((limit - fixed) / hiddenOfWindow);
  const windowsPerGroup = Math.max(size.windows, Math.min(task.count, room));
  return {
    keepWeights: false,
    wholeEmbedding: wholeTable,
    wholeHead: wholeTable,
    headSlice,
    windowsPerGroup,
    windowsPerRun: size.windows,
    headRows: headRowsOf(size, headSlice),
    hostMemoryBytes: fixed + windowsPerGroup * hiddenOfWindow,
  };
}

function headRowsOf({ logitsBytes }: RunSize, slice: number): number {
  return Math.max(16, Math.min(2048, Math.floor(logitsBytes / (4 * slice))));
}

/** What runs need besides weights: both sessions' arenas, the hidden states of one run, and results that wait for collection. */
function workingBytes(config: DecoderConfig, { window, count }: ScoringTask, size: RunSize, slice: number): number {
  const hidden = 4 * window * config.hiddenSize;
  const block = size.windows * window * runBytesPerToken(config, window);
  // Logits, their differences to the largest and the exponentials.
  const head = 3 * 4 * Math.min(headRowsOf(size, slice), count * window) * slice;
  const garbage = Math.min(garbageBytes, (config.layers + 1) * count * hidden) + size.windows * hidden;
  return arenaSlack * (block + head) + size.windows * hidden + garbage;
}
