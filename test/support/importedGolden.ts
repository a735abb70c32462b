import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readGraph } from '../../src/engine/formats/onnx/readGraph';
import { GraphBuilder, int } from '../../src/engine/graph/builder';
import type { RegionGradient } from '../../src/engine/graph/gradient';
import type { Graph, Value } from '../../src/engine/graph/graph';
import { batchStatistics } from '../../src/engine/graph/passes/batchStatistics';
import { inlineGraph, type NodeRewrite } from '../../src/engine/graph/passes/inline';
import { shareCopies } from '../../src/engine/graph/passes/shareCopies';
import { specializeGraph, workingOpset } from '../../src/engine/graph/passes/specialize';
import type { ConstantData } from '../../src/engine/graph/types';
import { operators } from '../../src/engine/ops';
import { batchLastLayout } from '../../src/engine/train/batchLast/layout';
import { decoderGraph } from './decoderGraph';

/** A gradient in few numbers: its norm, products with cos(a * (i + 1)), and some elements. */
export interface GradientProbes {
  readonly norm: number;
  readonly products: readonly number[];
  readonly elements: Readonly<Record<string, number>>;
}

/** Loss and gradients of an imported graph, from PyTorch. */
export interface ImportedGolden {
  readonly header: { readonly toleranceRelative: number };
  readonly model: string;
  readonly loss: 'cross-entropy' | 'binary' | 'next-token' | 'weighted';
  readonly output: string;
  readonly inputs: Readonly<
    Record<string, { readonly dtype: 'int64' | 'float32'; readonly shape: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly targets?: readonly number[];
  /** Normalised by the batch; the running means and variances after it by name. */
  readonly training?: true;
  readonly statistics?: Readonly<Record<string, readonly number[]>>;
  readonly value: number;
  readonly gradients: Readonly<Record<string, GradientProbes>>;
}

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'test/golden/gradients');

/** Every golden of imported graphs by name. */
export const importedGoldens: ReadonlyMap<string, ImportedGolden> = new Map(
  readdirSync(folder)
    .sort()
    .map((file) => [file.replace('.json', ''), JSON.parse(readFileSync(join(folder, file), 'utf8')) as ImportedGolden]),
);

/** The numbers a = 1.7, 2.3, 3.1 of the three fixed vectors. */
export const probeFrequencies = [1.7, 2.3, 3.1] as const;

/** The golden's graph with its inputs' shapes. Language models get their mask and positions, and no cache. */
export async function specializedGraph({ model, inputs, output }: ImportedGolden): Promise<Graph> {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
  if (model.endsWith('.onnx')) {
    const graph = await readGraph(join(root, model), { operators, externalFrom: Infinity, opset: workingOpset });
    return shareCopies(specializeGraph(graph, shapes, operators, { outputs: [output] })).graph;
  }
  const [batch, sequence] = shapes['input_ids'] as [number, number];
  const graph = await decoderGraph(model);
  const whole = (make: (at: number) => number): ConstantData => {
    const values = BigInt64Array.from({ length: batch * sequence }, (_, at) => BigInt(make(at)));
    return { kind: 'inline', dtype: 'int64', shape: [batch, sequence], bytes: new Uint8Array(values.buffer) };
  };
  const values = new Map([
    ['attention_mask', whole(() => 1)],
    ['position_ids', whole((at) => at % sequence)],
  ]);
  const special = specializeGraph(graph, { ...shapes, past_sequence_length: 0 }, operators, { outputs: [output], values });
  return { ...special, inputs: special.inputs.filter((input) => input.name in inputs) };
}

/** A graph being built that holds the model and its loss, with the weights as inputs. */
export interface LossGraph {
  readonly build: GraphBuilder;
  readonly loss: Value;
  readonly weights: ReadonlyMap<string, Value>;
  /** Running statistics after the batch, by name. */
  readonly statistics: ReadonlyMap<string, Value>;
  /** Gradients of stretches that were rewritten. */
  readonly regions: readonly RegionGradient[];
}

/** Adds the golden's loss behind the graph, of plain operators; with the batch as last axis behind convolutions where that is asked for. */
export function withLoss(graph: Graph, golden: ImportedGolden, batchLast = false): LossGraph {
  const build = new GraphBuilder(operators, 'loss');
  const substitutes = new Map<string, Value>();
  for (const input of graph.inputs) substitutes.set(input.name, build.input(input.name, input.type));
  const weights = new Map<string, Value>();
  for (const [value, data] of graph.constants)
    if (value.name in golden.gradients) {
      weights.set(value.name, build.constant(data, value.name));
      substitutes.set(value.name, weights.get(value.name) as Value);
    }
  // As the trainer does it.
  const statistics = batchStatistics(graph, build, operators);
  const training: NodeRewrite = golden.training === true ? statistics.rewrite : () => undefined;
  const layout = batchLast ? batchLastLayout(build, training, () => true) : { rewrite: training, regions: [] };
  const values = inlineGraph(build, graph, substitutes, { rewrite: layout.rewrite });
  const loss = lossOf(build, values.get(golden.output) as Value, golden, substitutes);
  return { build, loss, weights, statistics: statistics.updates, regions: [...statistics.regions, ...layout.regions] };
}

function lossOf(build: GraphBuilder, output: Value, golden: ImportedGolden, inputs: ReadonlyMap<string, Value>): Value {
  const mean = (value: Value) => build.op('ReduceMean', [value], { keepdims: int(0) });
  if (golden.loss === 'weighted') {
    const count = (output.type.shape as readonly number[]).reduce((product, length) => product * length, 1);
    const weight = build.float32(Array.from({ length: count }, (_, at) => Math.cos(1.1 * (at + 1))));
    return mean(build.op('Mul', [build.op('Reshape', [output, build.int64([-1])]), weight]));
  }
  if (golden.loss === 'binary') {
    // log(1 + exp(-z)) + (1 - y) z
    const targets = golden.targets as readonly number[];
    const rest = build.float32(targets.map((target) => 1 - target));
    return mean(build.op('Add', [build.op('Softplus', [build.op('Neg', [output])]), build.op('Mul', [rest, output])]));
  }
  let logits = output;
  let targets: Value;
  if (golden.loss === 'next-token') {
    const ids = [...inputs.values()][0] as Value;
    const classes = (output.type.shape as readonly number[]).at(-1) as number;
    const all = build.op('Slice', [output, build.int64([0]), build.int64([-1]), build.int64([1])]);
    logits = build.op('Reshape', [all, build.int64([-1, classes])]);
    targets = build.op('Reshape', [
      build.op('Slice', [ids, build.int64([1]), build.int64([2 ** 31]), build.int64([1])]),
      build.int64([-1]),
    ]);
  } else targets = build.int64(golden.targets as readonly number[]);
  const logProbabilities = build.op('LogSoftmax', [logits], { axis: int(-1) });
  const picked = build.op('GatherElements', [logProbabilities, build.op('Unsqueeze', [targets, build.int64([1])])], { axis: int(1) });
  return build.op('Neg', [mean(picked)]);
}
