import { throwIfCancelled } from '../../protocol/errors';
import { elementCount } from '../../protocol/dtypes';
import type { DecoderConfig, WeightSource } from '../architectures/architecture';
import { expectedDecoderTensors, headMatrixName } from '../architectures/decoder/expectedTensors';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { transposeMatrix } from '../kernels/host/transposeMatrix';
import type { WeightReader } from '../models/weightReader';
import type { RuntimeTensor } from '../runtime/types';

/** All weights of a decoder as float32, for the graph of a generation. */
export interface GenerationWeights {
  /** Weights that are inputs of the graph, by name; empty where they are its constants. */
  readonly feeds: Readonly<Record<string, RuntimeTensor>>;
  /** Makes the weights in `outer`; they may be used in its bodies. */
  source(outer: GraphBuilder): WeightSource;
}

/** A matrix [in, out] for products. */
const productName = (name: string): string => `${name}/transposed`;

/**
 * Up to this size weights are constants, which the runtime repacks: twice as many tokens per second in batches. It takes up to four times the memory while it does so; larger models are fed as
 * inputs, which it reads in place. A fixed rule, because the last bits of a product depend on its form.
 */
const largestConstants = 256 * 2 ** 20;

/** Bytes of the weights as float32: matrices that are looked up and multiplied, such as a tied embedding, count twice. */
export function generationWeightBytes(config: DecoderConfig): number {
  const embedding = config.tiedEmbeddings ? config.vocabularySize * config.hiddenSize : 0;
  return 4 * expectedDecoderTensors(config).reduce((sum, { shape }) => sum + elementCount(shape), embedding);
}

/** Largest resident size of the weights, from reading them to the first run. */
export function generationWeightMemory(config: DecoderConfig): number {
  const bytes = generationWeightBytes(config);
  if (bytes <= largestConstants) return 4 * bytes;
  // Matrices are read into one buffer for each of their sizes before they are transposed.
  const sizes = new Set(expectedDecoderTensors(config).flatMap(({ shape }) => (shape.length === 2 ? [elementCount(shape)] : [])));
  return bytes + 4 * [...sizes].reduce((sum, size) => sum + size, 0);
}

/** Reads the weights. Matrices are transposed to [in, out], so that a product with few rows reads them in order. Errors: those of the reader, `cancelled`. */
export async function readGenerationWeights(
  config: DecoderConfig,
  reader: WeightReader,
  {
    constantBytes = largestConstants,
    signal,
  }: { readonly constantBytes?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<GenerationWeights> {
  const tensors = new Map<string, RuntimeTensor & { readonly data: Float32Array }>();
  const head = headMatrixName(config);
  const buffers = new Map<number, Float32Array>();
  for (const { name, shape, role } of expectedDecoderTensors(config)) {
    throwIfCancelled(signal);
    const [rows, columns] = shape as readonly [number, number];
    const kept = shape.length === 1 || role === 'embedding';
    const values = await reader.read(name, kept ? undefined : bufferOf(buffers, rows * columns));
    if (kept) tensors.set(name, { dtype: 'float32', shape, data: values });
    if (shape.length === 2 && (role !== 'embedding' || name === head))
      tensors.set(productName(name), { dtype: 'float32', shape: [columns, rows], data: transposeMatrix(values, rows, columns) });
  }
  if (generationWeightBytes(config) > constantBytes)
    return {
      feeds: Object.fromEntries(tensors),
      source: (outer) => weightsIn((name, shape) => outer.input(name, { dtype: 'float32', shape })),
    };
  return {
    feeds: {},
    source: (outer) =>
      weightsIn((name, shape) => {
        const { data } = tensors.get(name) as { data: Float32Array };
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        return outer.constant({ kind: 'inline', dtype: 'float32', shape, bytes }, name);
      }),
  };
}

/** The buffer of a size: matrices that do not stay are read into the same one after each other. */
function bufferOf(buffers: Map<number, Float32Array>, count: number): Float32Array {
  const buffer = buffers.get(count) ?? new Float32Array(count);
  buffers.set(count, buffer);
  return buffer;
}

function weightsIn(make: (name: string, shape: readonly number[]) => Value): WeightSource {
  const made = new Map<string, Value>();
  const weight = (name: string, shape: readonly number[]): Value => {
    const value = made.get(name) ?? make(name, shape);
    made.set(name, value);
    return value;
  };
  return {
    linear: (build, name, x, shape, biasName) => {
      const product = build.op('MatMul', [x, weight(productName(name), [shape.in, shape.out])]);
      return biasName === undefined ? product : build.op('Add', [product, weight(biasName, [shape.out])]);
    },
    embedding: (build, name, ids, shape) => build.op('Gather', [weight(name, [shape.rows, shape.columns]), ids]),
    vector: (_, name, length) => weight(name, [length]),
  };
}
