import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import { blockGraph, headLossGraph } from '../../../src/engine/architectures/decoder/streamingGraphs';
import { recognizeModel } from '../../../src/engine/architectures/index';
import type { Graph } from '../../../src/engine/graph/graph';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { elementCount } from '../../../src/protocol/dtypes';
import { seededTensor } from '../../support/feeds';
import type { Case } from '../placedRun';
import { normalTensor } from './normalTensor';

/** The decoder's own graphs: block in plain and in fused operators, with and without a window, loss of the head, the whole model with a cache. */
export function decoderCases(): readonly Case[] {
  const { architecture, config } = recognizeModel({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 64,
    intermediate_size: 96,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 2,
    vocab_size: 80,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
  });
  const blocks = [false, true].flatMap((fused) =>
    [undefined, 5].map((window) => {
      const graph = blockGraph(config, { slidingWindow: window, fused });
      const name = `decoder block, ${fused ? 'fused' : 'plain'} operators${window === undefined ? '' : ', sliding window'}`;
      return { name, graph, feeds: feedsOf(graph, { batch: 2, sequence: 12 }) };
    }),
  );
  const loss = headLossGraph(config);
  const weights = new Map(
    architecture
      .expectedTensors(config)
      .map(({ name, shape }, index) => [name, scaled(normalTensor(shape, index + 1)).data as Float32Array]),
  );
  const model = architecture.buildLanguageModel(config, floatWeights(weights));
  const sizes = Object.fromEntries(
    model.inputs
      .flatMap(({ type }) => (type.shape ?? []).filter((length) => typeof length === 'string'))
      .map((length) => [length, sizeOf(length)]),
  );
  return [
    ...blocks,
    { name: 'loss of the head', graph: loss, feeds: feedsOf(loss, { rows: 6, slice: 80 }) },
    { name: 'language model with a cache', graph: model, feeds: feedsOf(model, sizes) },
  ];
}

/** Lengths of the language model's named axes: 2 sequences of 3 tokens after 4 that are cached. */
function sizeOf(axis: string): number {
  if (/batch/.test(axis)) return 2;
  if (/total|\+/.test(axis)) return 7;
  return /past/.test(axis) ? 4 : 3;
}

const scaled = ({ dtype, shape, data }: RuntimeTensor): RuntimeTensor => ({
  dtype,
  shape,
  data: Float32Array.from(data as Float32Array, (value) => value / Math.sqrt(shape.at(-1) ?? 1)),
});

function feedsOf(graph: Graph, sizes: Readonly<Record<string, number>>): Readonly<Record<string, RuntimeTensor>> {
  return Object.fromEntries(
    graph.inputs.map(({ name, type }, index) => {
      const shape = (type.shape ?? []).map((length) => (typeof length === 'number' ? length : (sizes[length] ?? 1)));
      const count = elementCount(shape);
      if (type.dtype === 'float32')
        return [name, shape.length === 1 ? seededTensor('float32', shape, undefined, index) : scaled(normalTensor(shape, index + 1))];
      // Positions continue after the cache; a mask hides nothing; tokens are small numbers.
      const value = (at: number): number => (/mask/.test(name) ? 1 : /position/.test(name) ? 4 + (at % 3) : (at * 7) % 60);
      return [
        name,
        seededTensor(
          type.dtype,
          shape,
          Array.from({ length: count }, (_, at) => value(at)),
        ),
      ];
    }),
  );
}
