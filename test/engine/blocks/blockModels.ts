import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DecoderArchitecture, DecoderConfig } from '../../../src/engine/architectures/architecture';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { openContainer } from '../../../src/engine/models/openContainer';
import type { WeightReader } from '../../../src/engine/models/weightReader';
import { containerWeights } from '../../../src/engine/models/decoderWeights';
import type { TensorContainer } from '../../../src/engine/formats/container';
import { loadFloatWeights } from '../../support/loadFloatWeights';
import { referenceDecoder, type DecoderTrace } from '../../support/referenceDecoder';

/** A tiny decoder, opened. */
export interface BlockModel {
  readonly container: TensorContainer;
  readonly architecture: DecoderArchitecture;
  readonly config: DecoderConfig;
  readonly reader: WeightReader;
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** Every matrix of the blocks rounded to eighths: a crude compressed model. */
  readonly rounded: ReadonlyMap<string, Float32Array>;
}

/** One model of each architecture, with sliding windows, grouped heads and biases, and a quantised GGUF file. */
export const blockModels = ['models/tiny-llama', 'models/tiny-mistral', 'models/tiny-qwen2', 'gguf/tiny-q8_0.gguf'] as const;

export async function openBlockModel(name: string): Promise<BlockModel> {
  const file = path.join(fileURLToPath(new URL('../../fixtures', import.meta.url)), name);
  const container = await openContainer(file, { asHuggingFace: true });
  const { architecture, config } = recognizeModel(container.config!);
  const weights = await loadFloatWeights(container);
  const rounded = new Map(
    [...weights].map(([tensor, values]) => [
      tensor,
      /proj\.weight$/.test(tensor) ? values.map((value) => Math.round(value * 8) / 8) : values,
    ]),
  );
  return { container, architecture, config, reader: containerWeights(container), weights, rounded };
}

export const windows = 5;
export const length = 12;

/** Token ids [windows, length]: every window its own. */
export function sampleOf({ config }: BlockModel): BigInt64Array {
  return BigInt64Array.from({ length: windows * length }, (_, index) =>
    BigInt((index * index * 7 + 3 * index + 1) % config.vocabularySize),
  );
}

/** The reference run of every window. Blocks below `compressed` have the rounded weights. */
export function traces(model: BlockModel, compressed = 0): readonly DecoderTrace[] {
  const ids = [...sampleOf(model)].map(Number);
  return Array.from({ length: windows }, (_, window) =>
    referenceDecoder(
      model.config,
      (block) => (block !== undefined && block < compressed ? model.rounded : model.weights),
      ids.slice(window * length, (window + 1) * length),
    ),
  );
}

/** Largest difference of two arrays relative to the largest value of the second. */
export function worstError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let error = 0;
  let largest = 0;
  for (let index = 0; index < expected.length; index += 1) {
    error = Math.max(error, Math.abs(actual[index]! - expected[index]!));
    largest = Math.max(largest, Math.abs(expected[index]!));
  }
  return error / largest;
}
