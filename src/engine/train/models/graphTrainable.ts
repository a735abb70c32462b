import { LoomweightError } from '../../../protocol/errors';
import type { GraphBuilder } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { batchLastLayout } from '../batchLast/layout';
import { batchStatistics } from '../../graph/passes/batchStatistics';
import { finalActivation } from '../../graph/passes/finalActivation';
import { inlineGraph } from '../../graph/passes/inline';
import { formatShape } from '../../graph/shapes';
import { reshaped, staticShape } from '../../ops/gradients';
import { operators } from '../../ops/index';
import type { BatchInput } from '../batches';
import type { ForwardPass, TrainableBuffer, TrainableModel, TrainableParameter } from '../contract';

/** A model opened for training; the caller closes it. */
export type OpenTrainable = TrainableModel & {
  /** What the model is for: `labels` for data with labels, `text` for token windows. */
  readonly kind: 'labels' | 'text';
  /** What the user should know before training: tensors that stay unchanged, places that no gradient passes. */
  readonly notes: readonly string[];
  /** Folders or files with a language model's tokenizer, and its config; undefined for other models. */
  readonly text?: TextSettings;
  close(): Promise<void>;
};

/** What encoding text for a language model needs. */
export interface TextSettings {
  readonly folders: readonly string[];
  /** Files that the model carries inside: file name to text. */
  readonly inside?: ReadonlyMap<string, string>;
  readonly window: number;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly bosTokenId: number | undefined;
  /** Tokens that the model reads of a window: all with a BOS before them, else one less. */
  readonly sequence: number;
}

/** A model whose forward pass is a graph: parameters and buffers are inputs of the graph beside those of the batch. */
export interface GraphTrainableOptions {
  readonly name: string;
  readonly kind: OpenTrainable['kind'];
  /** Default: none. */
  readonly notes?: readonly string[];
  readonly parameters: readonly TrainableParameter[];
  readonly buffers: readonly TrainableBuffer[];
  inputs(batch: number): readonly BatchInput[];
  /** The graph for a batch of that size: all shapes known. Asked once for each size. */
  graph(batch: number): Graph;
  readonly text?: TextSettings;
  close(): Promise<void>;
}

/** Makes a trainable model of a graph. */
export function graphTrainable(options: GraphTrainableOptions): OpenTrainable {
  const graphs = new Map<number, Graph>();
  const graphFor = (batch: number): Graph => {
    const graph = graphs.get(batch) ?? options.graph(batch);
    graphs.set(batch, graph);
    return graph;
  };
  const { name, kind, parameters, buffers, text } = options;
  return {
    name,
    kind,
    notes: options.notes ?? [],
    parameters,
    buffers,
    ...(text === undefined ? {} : { text }),
    inputs: (batch) => options.inputs(batch),
    close: () => options.close(),
    forward: (build, batch, weights, training, { batchLast = false } = {}) =>
      forward(build, graphFor(batchSize(batch, options)), batch, weights, { training, batchLast }),
  };
}

function batchSize(batch: Readonly<Record<string, Value>>, { name, inputs }: GraphTrainableOptions): number {
  const first = inputs(1)[0];
  const length = first && batch[first.name]?.type.shape?.[0];
  if (typeof length === 'number') return length;
  throw new LoomweightError('internal', `The batch of '${name}' has no '${first?.name ?? 'input'}' with a known shape.`, { model: name });
}

function forward(
  build: GraphBuilder,
  graph: Graph,
  batch: Readonly<Record<string, Value>>,
  weights: (name: string) => Value,
  { training, batchLast }: { readonly training: boolean; readonly batchLast: boolean },
): ForwardPass {
  const substitutes = new Map(graph.inputs.map(({ name }) => [name, batch[name] ?? weights(name)]));
  const statistics = batchStatistics(graph, build, operators);
  const layout = batchLast ? batchLastLayout(build, statistics.rewrite) : undefined;
  const rewrite = layout?.rewrite ?? statistics.rewrite;
  const made = inlineGraph(build, graph, substitutes, { prefix: 'model/', ...(training ? { rewrite } : {}) });
  const outputs = Object.fromEntries(graph.outputs.map(({ name }) => [name, made.get(name) as Value]));
  return {
    outputs,
    scores: scoresOf(build, graph, made),
    buffers: Object.fromEntries(statistics.updates),
    regions: [...statistics.regions, ...(layout?.regions ?? [])],
  };
}

/** The first output's scores in that output's shape. */
function scoresOf(build: GraphBuilder, graph: Graph, made: ReadonlyMap<string, Value>): Value | undefined {
  const [first] = graph.outputs;
  const output = first && made.get(first.name);
  const activation = finalActivation(graph);
  const scores = activation && made.get(activation.scores.name);
  if (!output || !scores || scores.type.dtype !== output.type.dtype) return output;
  const shape = staticShape(output);
  return formatShape(scores.type.shape) === formatShape(shape) ? scores : reshaped(build, scores, shape);
}
