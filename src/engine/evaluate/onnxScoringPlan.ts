import { formatBytes } from '../../common/units';
import { LoomweightError } from '../../protocol/errors';

/** Sizes of a language model that its config.json tells; undefined where it does not. */
export interface OnnxSizes {
  readonly vocabularySize: number | undefined;
  readonly hiddenSize: number | undefined;
  readonly intermediateSize: number | undefined;
  readonly heads: number | undefined;
  readonly layers: number | undefined;
}

/** How an ONNX language model is scored under a memory limit. */
export interface OnnxPlan {
  readonly windowsPerRun: number;
  /** Largest resident size of the process. */
  readonly hostMemoryBytes: number;
}

/** What is scored, and what the process holds besides. */
export interface OnnxScoringTask {
  readonly window: number;
  readonly count: number;
  /** Process, tokenizer and text (textMemory.ts). */
  readonly fixedBytes: number;
  /** Weights as they lie in the file. */
  readonly fileBytes: number;
  /** Weights once loaded, where the graph unpacks them. */
  readonly loadedBytes: number;
}

/** Positions in a run: more were not faster. */
const tokensPerRun = 1024;
/** The runtime's arena grows by powers of two: up to twice what lies in it. */
const arenaSlack = 2;
/** A GPT-2 sized guess where config.json does not tell. */
const fallback = { vocabularySize: 32_000, hiddenSize: 1024, intermediateSize: 4096, heads: 16, layers: 16 };

/**
 * Windows in a run so that the process stays under the limit. The whole model is in memory: it is not cut. Errors: `insufficient-memory` with the
 * shortfall where one window does not fit.
 */
export function planOnnxScoring(sizes: OnnxSizes, task: OnnxScoringTask, limit: number | undefined): OnnxPlan {
  const { window, count } = task;
  for (let windows = Math.max(1, Math.min(count, Math.floor(tokensPerRun / window))); ; windows = Math.floor(windows / 2)) {
    const hostMemoryBytes = residentBytes(sizes, task, windows);
    if (limit === undefined || hostMemoryBytes <= limit) return { windowsPerRun: windows, hostMemoryBytes };
    if (windows > 1) continue;
    throw new LoomweightError(
      'insufficient-memory',
      `Evaluating this ONNX model needs at least ${formatBytes(hostMemoryBytes)}, the limit is ${formatBytes(limit)}: ` +
        `${formatBytes(hostMemoryBytes - limit)} short. Raise --max-memory, use a smaller window, or evaluate the model's directory with ` +
        'safetensors, which is read block by block.',
      { needed: hostMemoryBytes, limit, shortfall: hostMemoryBytes - limit },
    );
  }
}

function residentBytes(sizes: OnnxSizes, { window, count, fixedBytes, fileBytes, loadedBytes }: OnnxScoringTask, windows: number): number {
  const { vocabularySize, hiddenSize, intermediateSize, heads, layers } = Object.fromEntries(
    Object.entries(fallback).map(([key, value]) => [key, sizes[key as keyof OnnxSizes] ?? value]),
  ) as typeof fallback;
  // While the runtime prepares a model, the file's bytes, its tensors and their rearranged copies lie side by side.
  const weights = 2 * fileBytes + 2 * Math.max(fileBytes, loadedBytes);
  const logits = 4 * windows * window * vocabularySize;
  const cache = 2 * 4 * layers * windows * window * hiddenSize;
  const activations = 4 * windows * window * (4 * hiddenSize + 3 * intermediateSize + 3 * heads * window);
  // Logits lie in the arena and, copied, in JavaScript, where the copy before may still wait for collection.
  const copies = logits * Math.min(3, Math.ceil(count / windows));
  return fixedBytes + weights + arenaSlack * (Math.max(logits, activations) + cache) + copies + 48e6;
}
