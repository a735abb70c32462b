import { formatBytes } from '../../common/units';
import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { DecoderConfig, ExpectedTensor } from '../architectures/architecture';
import { blockTensors, expectedDecoderTensors } from '../architectures/decoder/expectedTensors';

/** How a decoder is cut so that scoring it stays under a memory limit. */
export interface ScoringPlan {
  /** All weights stay in memory as float32; else they are read again for every group of windows. */
  readonly keepWeights: boolean;
  /** The embedding is read whole; else row by row. */
  readonly wholeEmbedding: boolean;
  /** The head is read whole; else `headSlice` rows of the vocabulary at a time. */
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

/** An allowance for the process, the runtime library and the tokenizer before anything is read. */
const baseBytes = 200e6;
/** Positions in a run: 2,048 keep two cores busy; more only cost memory. */
const tokensPerRun = 2048;
const logitsBytes = 64e6;

/**
 * Plans a scoring run. Without a limit everything stays in memory. Errors: `insufficient-memory` with the shortfall where not even one
 * window and one block fit.
 */
export function planScoring(
  config: DecoderConfig,
  windows: { readonly window: number; readonly count: number },
  limit: number | undefined,
): ScoringPlan {
  const { window, count } = windows;
  const floatBytes = (tensors: readonly ExpectedTensor[]) => tensors.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  const all = floatBytes(expectedDecoderTensors(config));
  const block = floatBytes(blockTensors(config, 0));
  const table = 4 * config.vocabularySize * config.hiddenSize;
  const hiddenOfWindow = 4 * window * config.hiddenSize;
  const headRows = Math.max(16, Math.min(tokensPerRun, Math.floor(logitsBytes / (4 * config.vocabularySize))));
  const runBytes = (perRun: number) => perRun * window * runBytesPerToken(config, window);
  const headBytes = 3 * 4 * headRows * config.vocabularySize;
  const wantedPerRun = Math.max(1, Math.min(count, Math.floor(tokensPerRun / window)));

  const full = baseBytes + all + count * hiddenOfWindow + Math.max(runBytes(wantedPerRun), headBytes);
  const shared = { windowsPerRun: wantedPerRun, headRows };
  if (limit === undefined || full <= limit)
    return {
      ...shared,
      keepWeights: true,
      wholeEmbedding: true,
      wholeHead: true,
      headSlice: config.vocabularySize,
      windowsPerGroup: count,
      hostMemoryBytes: full,
    };

  // Streaming: one block at a time; the tables only where they are no larger than what a block needs anyway.
  const perRun = block + runBytes(wantedPerRun) + baseBytes + hiddenOfWindow * wantedPerRun <= limit ? wantedPerRun : 1;
  const working = Math.max(block + runBytes(perRun), headBytes + Math.min(table, block));
  const least = baseBytes + working + hiddenOfWindow * perRun;
  if (least > limit)
    throw new LoomweightError(
      'insufficient-memory',
      `Evaluating block by block needs ${formatBytes(least)}, the limit is ${formatBytes(limit)}: ${formatBytes(least - limit)} short. ` +
        'Raise --max-memory or take a smaller window.',
      { needed: least, limit, shortfall: least - limit },
    );
  const wholeTable = table + headBytes <= working;
  const windowsPerGroup = Math.max(perRun, Math.min(count, Math.floor((limit - baseBytes - working) / hiddenOfWindow)));
  return {
    keepWeights: false,
    wholeEmbedding: wholeTable,
    wholeHead: wholeTable,
    headSlice: Math.max(1, Math.floor(Math.min(table, block) / (4 * config.hiddenSize))),
    windowsPerGroup,
    windowsPerRun: perRun,
    headRows,
    hostMemoryBytes: baseBytes + working + windowsPerGroup * hiddenOfWindow,
  };
}

/** Temporaries of a block's run for each position: activations of both halves, and the scores of all heads with the standard operators. */
function runBytesPerToken(config: DecoderConfig, window: number): number {
  const attention = 2 * config.heads * window + 4 * config.headSize * (config.heads + config.keyValueHeads);
  return 4 * (6 * config.hiddenSize + 3 * config.intermediateSize + attention);
}
