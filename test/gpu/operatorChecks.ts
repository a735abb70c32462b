import { SeededRandom } from '../../src/common/random';
import { blockGraph, headLossGraph } from '../../src/engine/architectures/decoder/streamingGraphs';
import { floatWeights } from '../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../src/engine/architectures/index';
import { GraphBuilder, int } from '../../src/engine/graph/builder';
import type { Graph, Value } from '../../src/engine/graph/graph';
import { operators } from '../../src/engine/ops/index';
import type { RuntimeTensor } from '../../src/engine/runtime/types';
import { elementCount } from '../../src/protocol/dtypes';
import { seededTensor } from '../support/feeds';
import { operatorCases } from '../support/operatorCases';
import { isFed, operatorGraph, titleOf } from '../support/operatorGraph';
import type { Case } from './placedRun';

/** Their results are another stream on every provider. */
const random = /^(Random|Bernoulli|Multinomial)/;

/** Every operator that the engine knows: the rows that its shape rules are tested with, whole graphs with bodies, and the graphs of a decoder. */
export function operatorChecks(): readonly Case[] {
  return [...rowCases(), ...bodyCases(), ...quantizedProducts(), ...decoderCases()];
}

function rowCases(): readonly Case[] {
  return operatorCases
    .filter(({ op }) => !random.test(op))
    .map((row, number) => ({
      name: `${titleOf(row)} (row ${number})`,
      graph: operatorGraph(row, (length) => length),
      feeds: Object.fromEntries(
        row.inputs.flatMap((input, index) =>
          isFed(input) ? [[`x${index}`, seededTensor(input.dtype, input.shape, input.values, index + 1)]] : [],
        ),
      ),
    }));
}

const float = (shape: readonly number[], seed = 1): RuntimeTensor => {
  const source = new SeededRandom(seed);
  return { dtype: 'float32', shape, data: Float32Array.from({ length: elementCount(shape) }, () => source.nextNormal()) };
};
const scalar = (dtype: 'int64' | 'bool', value: number): RuntimeTensor => seededTensor(dtype, [], [value]);

/** Loop, Scan and If, alone and within each other, with captured values and growing ones. */
function bodyCases(): readonly Case[] {
  return [
    {
      name: 'Loop: carried, growing and stacked values, rows gathered by step',
      graph: loopGraph(),
      feeds: { trips: scalar('int64', 5), start: float([2, 4]), rows: float([5, 4], 2) },
    },
    { name: 'Loop of no steps', graph: loopGraph(), feeds: { trips: scalar('int64', 0), start: float([2, 4]), rows: float([5, 4], 2) } },
    {
      name: 'Scan over row blocks with a fused multiply-add',
      graph: scanGraph(),
      feeds: { left: float([4, 8, 16]), right: float([16, 12], 2), value: float([4, 8, 12], 3) },
    },
    ...[0, 1].map((condition) => ({
      name: `If, the ${condition === 1 ? 'first' : 'second'} branch`,
      graph: branchGraph(),
      feeds: { condition: scalar('bool', condition), x: float([2, 3]) },
    })),
    {
      name: 'Scan within If within Loop',
      graph: nestedGraph(),
      feeds: { trips: scalar('int64', 4), start: float([3, 4]), limit: float([], 5) },
    },
    {
      name: 'Loop that draws noise from a pool by offset',
      graph: poolGraph(),
      feeds: { trips: scalar('int64', 3), pool: float([64]), offsets: seededTensor('int64', [3], [0, 17, 40]), start: float([4, 4], 2) },
    },
  ];
}

/** A body that gives its condition back first, as Loop wants. */
function loopBody(build: GraphBuilder, name: string): { readonly body: GraphBuilder; readonly step: Value } {
  const body = build.subgraph(name);
  const step = body.input(`${name}/step`, { dtype: 'int64', shape: [] });
  const go = body.input(`${name}/go`, { dtype: 'bool', shape: [] });
  body.output(body.op('Identity', [go]));
  return { body, step };
}

function loopGraph(): Graph {
  const build = new GraphBuilder(operators, 'loop');
  const trips = build.input('trips', { dtype: 'int64', shape: [] });
  const start = build.input('start', { dtype: 'float32', shape: [2, 4] });
  const rows = build.input('rows', { dtype: 'float32', shape: ['steps', 4] });
  const { body, step } = loopBody(build, 'each');
  const x = body.input('x', { dtype: 'float32', shape: [2, 4] });
  const list = body.input('list', { dtype: 'float32', shape: ['length', 4] });
  const next = body.op('Add', [x, body.op('Gather', [rows, step], { axis: int(0) })]);
  body.output(next);
  body.output(body.op('Concat', [list, next], { axis: int(0) }));
  body.output(body.op('ReduceSum', [x, body.int64([1])], { keepdims: int(0) }));
  const attributes = { body: { kind: 'graph', value: body.finish() } } as const;
  build
    .node('Loop', [trips, undefined, start, start], attributes, { outputs: 3 })
    .forEach((value, index) => build.output(value, `y${index}`));
  return build.finish();
}

function scanGraph(): Graph {
  const build = new GraphBuilder(operators, 'scan');
  const left = build.input('left', { dtype: 'float32', shape: [4, 8, 16] });
  const right = build.input('right', { dtype: 'float32', shape: [16, 12] });
  const value = build.input('value', { dtype: 'float32', shape: [4, 8, 12] });
  const body = build.subgraph('rows');
  const leftBlock = body.input('leftBlock', { dtype: 'float32', shape: [8, 16] });
  const valueBlock = body.input('valueBlock', { dtype: 'float32', shape: [8, 12] });
  const product = body.op('MatMul', [leftBlock, right]);
  const factor = body.op('Expand', [body.float32(0.5), body.int64([8, 1])]);
  body.output(body.op('GatedAdd', [product, valueBlock, factor], {}, { domain: 'com.microsoft' }));
  body.output(body.op('ReduceMax', [product, body.int64([1])], { keepdims: int(0) }));
  const attributes = { body: { kind: 'graph', value: body.finish() }, num_scan_inputs: int(2) } as const;
  build.node('Scan', [left, value], attributes, { outputs: 2 }).forEach((output, index) => build.output(output, `y${index}`));
  return build.finish();
}

function branches(build: GraphBuilder, condition: Value, x: Value): Value {
  const yes = build.subgraph('yes');
  yes.output(yes.op('Mul', [x, x]));
  const no = build.subgraph('no');
  no.output(no.op('Neg', [x]));
  return build.op('If', [condition], {
    then_branch: { kind: 'graph', value: yes.finish() },
    else_branch: { kind: 'graph', value: no.finish() },
  });
}

function branchGraph(): Graph {
  const build = new GraphBuilder(operators, 'if');
  const condition = build.input('condition', { dtype: 'bool', shape: [] });
  const x = build.input('x', { dtype: 'float32', shape: [2, 3] });
  build.output(branches(build, condition, x), 'y');
  return build.finish();
}

function nestedGraph(): Graph {
  const build = new GraphBuilder(operators, 'nested');
  const trips = build.input('trips', { dtype: 'int64', shape: [] });
  const start = build.input('start', { dtype: 'float32', shape: [3, 4] });
  const limit = build.input('limit', { dtype: 'float32', shape: [] });
  const { body } = loopBody(build, 'outer');
  const x = body.input('x', { dtype: 'float32', shape: [3, 4] });
  const isSmall = body.op('Less', [body.op('ReduceMean', [x], { keepdims: int(0) }), limit]);
  const summed = body.subgraph('summed');
  const rows = summed.subgraph('rows');
  const sum = rows.input('sum', { dtype: 'float32', shape: [4] });
  const row = rows.input('row', { dtype: 'float32', shape: [4] });
  const next = rows.op('Tanh', [rows.op('Add', [sum, row])]);
  rows.output(rows.op('Identity', [next]));
  rows.output(rows.op('Identity', [next]));
  const zeros = summed.float32([0, 0, 0, 0], [4]);
  const scanned = summed.node(
    'Scan',
    [zeros, x],
    { body: { kind: 'graph', value: rows.finish() }, num_scan_inputs: int(1) },
    { outputs: 2 },
  );
  summed.output(scanned[1] as Value);
  const halved = body.subgraph('halved');
  halved.output(halved.op('Mul', [x, halved.float32(0.5)]));
  body.output(
    body.op('If', [isSmall], {
      then_branch: { kind: 'graph', value: summed.finish() },
      else_branch: { kind: 'graph', value: halved.finish() },
    }),
  );
  const [last] = build.node('Loop', [trips, undefined, start], { body: { kind: 'graph', value: body.finish() } }, { outputs: 1 });
  build.output(last as Value, 'y');
  return build.finish();
}

function poolGraph(): Graph {
  const build = new GraphBuilder(operators, 'pool');
  const trips = build.input('trips', { dtype: 'int64', shape: [] });
  const pool = build.input('pool', { dtype: 'float32', shape: [64] });
  const offsets = build.input('offsets', { dtype: 'int64', shape: ['steps'] });
  const start = build.input('start', { dtype: 'float32', shape: [4, 4] });
  const { body, step } = loopBody(build, 'draws');
  const x = body.input('x', { dtype: 'float32', shape: [4, 4] });
  const from = body.op('Gather', [offsets, body.op('Unsqueeze', [step, body.int64([0])])], { axis: int(0) });
  const drawn = body.op('Slice', [pool, from, body.op('Add', [from, body.int64([16])]), body.int64([0])]);
  body.output(body.op('Add', [x, body.op('Reshape', [drawn, body.int64([4, 4])])]));
  const [last] = build.node('Loop', [trips, undefined, start], { body: { kind: 'graph', value: body.finish() } }, { outputs: 1 });
  build.output(last as Value, 'y');
  return build.finish();
}

/** MatMulNBits with weights that are not zero, with and without zero points, for few and for many rows. */
function quantizedProducts(): readonly Case[] {
  const [inner, columns, block] = [128, 24, 32];
  const blocks = inner / block;
  return [2, 4, 8].flatMap((bits) =>
    [1, 33].flatMap((rows) =>
      [false, true].map((zeroPoints) => {
        const build = new GraphBuilder(operators, 'quantized_product');
        const source = new SeededRandom(bits);
        const bytes = (count: number) => Uint8Array.from({ length: count }, () => source.nextBelow(256));
        const packed = (block * bits) / 8;
        const scales = Float32Array.from({ length: columns * blocks }, () => 0.01 + 0.02 * source.next());
        const inputs = [
          build.input('x', { dtype: 'float32', shape: [rows, inner] }),
          build.constant({ kind: 'inline', dtype: 'uint8', shape: [columns, blocks, packed], bytes: bytes(columns * blocks * packed) }),
          build.constant({ kind: 'inline', dtype: 'float32', shape: [columns, blocks], bytes: new Uint8Array(scales.buffer) }),
        ];
        if (zeroPoints) {
          const width = Math.ceil((blocks * bits) / 8);
          inputs.push(build.constant({ kind: 'inline', dtype: 'uint8', shape: [columns, width], bytes: bytes(columns * width) }));
        }
        const attributes = { K: int(inner), N: int(columns), bits: int(bits), block_size: int(block), accuracy_level: int(1) };
        build.output(build.op('MatMulNBits', inputs, attributes, { domain: 'com.microsoft' }), 'y');
        return {
          name: `MatMulNBits of ${bits} bits, ${rows} rows, ${zeroPoints ? 'with' : 'without'} zero points`,
          graph: build.finish(),
          feeds: { x: float([rows, inner]) },
        };
      }),
    ),
  );
}

/** The decoder's own graphs: block in plain and in fused operators, with and without a window, loss of the head, the whole model with a cache. */
function decoderCases(): readonly Case[] {
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
    architecture.expectedTensors(config).map(({ name, shape }, index) => [name, scaled(float(shape, index + 1)).data as Float32Array]),
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
        return [name, shape.length === 1 ? seededTensor('float32', shape, undefined, index) : scaled(float(shape, index + 1))];
      // Positions go on after the cache; a mask hides nothing; tokens are small numbers.
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
