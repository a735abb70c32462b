import { freemem } from 'node:os';
import { formatBytes } from '../../common/units';
import { LoomweightError } from '../../protocol/errors';

/** Sizes of a language model that its config.json tells; undefined if it does not. */
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
  /** Products with slow packed kernels take dequantised weights (dequantizedCopy.ts). */
  readonly dequantize: boolean;
  /** Bytes of the temporary copy that takes them. */
  readonly diskBytes: number;
  /** How weights are multiplied, as sentences for the report. */
  readonly choices: readonly string[];
}

/** What is scored, and what the process holds besides. */
export interface OnnxScoringTask {
  readonly window: number;
  readonly count: number;
  /** Process, tokenizer and text (textMemory.ts). */
  readonly fixedBytes: number;
  /** Weights as stored in the file. */
  readonly fileBytes: number;
  /** Weights once loaded, where the graph unpacks them. */
  readonly loadedBytes: number;
  readonly packed: PackedWeights;
}

/** Weights in packed form, on a provider where it matters. */
export interface PackedWeights {
  /** Matrices whose packed products are slower than float ones on many rows (slowProducts.ts): bytes of their codes in the file, and of the weights as float32. */
  readonly slow: { readonly matrices: number; readonly packedBytes: number; readonly floatBytes: number };
  /** Products that may round activations to int8 (accuracy level 4): all, and those that are slow. */
  readonly rounding: { readonly products: number; readonly slow: number };
}

/** Positions in a run: more were not faster. */
const tokensPerRun = 1024;
/**
 * Tokens of a text from which dequantising pays: a weight takes 8 ns once, and saves 0.016 ns a token at 2 bits with int8 activations, 0.002 with the exact kernels.
 * Runs are then long as well: slow kernels lose from 64 tokens a run on.
 */
const tokensThatPay = 4096;
/** The runtime's arena grows by powers of two: up to twice its contents. */
const arenaSlack = 2;
/** A GPT-2 sized guess where config.json does not tell. */
const fallback = { vocabularySize: 32_000, hiddenSize: 1024, intermediateSize: 4096, heads: 16, layers: 16 };

/**
 * Windows in a run so that the process stays under the limit. The whole model is in memory: it is not cut. Dequantised weights are planned where they pay and
 * full runs fit beside them. Errors: `insufficient-memory` with the shortfall where one window does not fit.
 */
export function planOnnxScoring(sizes: OnnxSizes, task: OnnxScoringTask, limit: number | undefined): OnnxPlan {
  const { window, count, packed } = task;
  const { slow } = packed;
  const full = Math.max(1, Math.min(count, Math.floor(tokensPerRun / window)));
  const pays = slow.matrices > 0 && window * count >= tokensThatPay;
  // The codes are not loaded. Floats are inputs, held once; while they are made, codes are read and freed matrix by matrix.
  const rest = { ...task, fileBytes: task.fileBytes - slow.packedBytes, loadedBytes: task.loadedBytes - slow.packedBytes };
  const floatBytes = slow.floatBytes + slow.packedBytes;
  const dequantizedBytes = residentBytes(sizes, rest, full) + floatBytes;
  const free = limit ?? freemem();
  if (pays && dequantizedBytes <= free) {
    const choices = [dequantizedChoice(packed), ...roundingChoice(packed.rounding.products - packed.rounding.slow)];
    return { windowsPerRun: full, hostMemoryBytes: dequantizedBytes, dequantize: true, diskBytes: rest.fileBytes, choices };
  }
  const choices = [
    'whole ONNX graph with the weights as stored; products that the runtime fuses from DequantizeLinear are exact',
    ...(pays
      ? [
          `packed weights are multiplied as stored: dequantised ones would be faster for this text, but need ${formatBytes(dequantizedBytes)} ` +
            `of memory, and ${formatBytes(free)} may be used`,
        ]
      : []),
    ...roundingChoice(packed.rounding.products),
  ];
  for (let windows = full; ; windows = Math.floor(windows / 2)) {
    const hostMemoryBytes = residentBytes(sizes, task, windows);
    if (limit === undefined || hostMemoryBytes <= limit)
      return { windowsPerRun: windows, hostMemoryBytes, dequantize: false, diskBytes: 0, choices };
    if (windows > 1) continue;
    throw new LoomweightError(
      'insufficient-memory',
      `Evaluating this ONNX model needs at least ${formatBytes(hostMemoryBytes)}, but the limit is ${formatBytes(limit)}: ` +
        `${formatBytes(hostMemoryBytes - limit)} short. Raise --max-memory, use a smaller window, or evaluate the model's directory with ` +
        'safetensors, which is read block by block.',
      { needed: hostMemoryBytes, limit, shortfall: hostMemoryBytes - limit },
    );
  }
}

function dequantizedChoice({ slow, rounding }: PackedWeights): string {
  const matrices = slow.matrices === 1 ? 'one matrix is' : `${slow.matrices} matrices are`;
  const activations = rounding.slow === 0 ? '' : ', and activations stay float32 where the file allows int8';
  return `whole ONNX graph; ${matrices} dequantised first, which is faster for a text of this length: the same weights${activations}`;
}

function roundingChoice(products: number): readonly string[] {
  if (products === 0) return [];
  return [
    `${products === 1 ? 'one product has' : `${products} products have`} accuracy level 4: the kernels may round activations to int8`,
  ];
}

function residentBytes(sizes: OnnxSizes, { window, count, fixedBytes, fileBytes, loadedBytes }: OnnxScoringTask, windows: number): number {
  const { vocabularySize, hiddenSize, intermediateSize, heads, layers } = Object.fromEntries(
    Object.entries(fallback).map(([key, value]) => [key, sizes[key as keyof OnnxSizes] ?? value]),
  ) as typeof fallback;
  // While the runtime prepares a model, the file's bytes, its tensors and their rearranged copies exist at the same time.
  const weights = 2 * fileBytes + 2 * Math.max(fileBytes, loadedBytes);
  const logits = 4 * windows * window * vocabularySize;
  const cache = 2 * 4 * layers * windows * window * hiddenSize;
  const activations = 4 * windows * window * (4 * hiddenSize + 3 * intermediateSize + 3 * heads * window);
  // Logits are in the arena and, copied, in JavaScript, where the previous copy may not be collected yet.
  const copies = logits * Math.min(3, Math.ceil(count / windows));
  return fixedBytes + weights + arenaSlack * (Math.max(logits, activations) + cache) + copies + 48e6;
}
