import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGraph } from '../../../../src/engine/formats/onnx/readGraph';
import { GraphBuilder, float, int, ints } from '../../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../../src/engine/graph/graph';
import { batchStatistics } from '../../../../src/engine/graph/passes/batchStatistics';
import { inlineGraph } from '../../../../src/engine/graph/passes/inline';
import { parametersOf } from '../../../../src/engine/graph/passes/parameters';
import { shareCopies } from '../../../../src/engine/graph/passes/shareCopies';
import { specializeGraph } from '../../../../src/engine/graph/passes/specialize';
import type { ConstantData } from '../../../../src/engine/graph/types';
import { verifyGraph } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops';
import { elementCount } from '../../../../src/protocol/dtypes';
import { decoderGraph } from '../../../support/decoderGraph';
import { feedTensor, runGraph } from '../../../support/runGraph';

const onnx = (name: string) =>
  readGraph(join(import.meta.dirname, '../../../fixtures/onnx', name), { operators, externalFrom: Infinity, opset: 21 });
const values = (shape: readonly number[], make: (at: number) => number): ConstantData => ({
  kind: 'inline',
  dtype: 'float32',
  shape,
  bytes: new Uint8Array(Float32Array.from({ length: elementCount(shape) }, (_, at) => make(at)).buffer),
});
const namesOf = (items: readonly { readonly name: string }[]) => items.map((item) => item.name);

describe('parametersOf', () => {
  test('a convolutional network: the weights, not the target shape of the Reshape', async () => {
    const { weights, statistics } = parametersOf(await onnx('digits-a.onnx'), operators);
    expect(namesOf(weights)).toEqual(['conv1', 'conv2', 'fc1', 'fc2'].flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]));
    expect(statistics).toEqual([]);
    expect(weights.map(({ uses }) => `${uses[0]?.node.op}:${uses[0]?.input}`)).toEqual(
      ['Conv', 'Conv', 'Gemm', 'Gemm'].flatMap((op) => [`${op}:1`, `${op}:2`]),
    );
    expect(weights.reduce((sum, { shape }) => sum + elementCount(shape), 0)).toBe(38_282);
  });

  test('a click model: 41,770 parameters; the category table and the scalars are not weights', async () => {
    const { weights } = parametersOf(await onnx('din-a.onnx'), operators);
    expect(weights.reduce((sum, { shape }) => sum + elementCount(shape), 0)).toBe(41_770);
    const table = weights.find(({ name }) => name === 'item_embedding.weight');
    expect(table?.uses.map(({ node }) => node.op)).toEqual(['Gather', 'Gather']);
  });

  test('a language model with a tied embedding, also used behind a Transpose; frequencies are not weights', async () => {
    const { weights } = parametersOf(await decoderGraph('media/samples/loom-base'), operators);
    expect(weights.every(({ name }) => name.startsWith('model.'))).toBe(true);
    const embedding = weights.find(({ name }) => name === 'model.embed_tokens.weight');
    expect(embedding?.uses.map(({ node, through }) => [node.op, ...through.map(({ op }) => op)])).toEqual([
      ['Gather'],
      ['MatMul', 'Transpose'],
    ]);
  });

  test('running statistics, settings, scalars and integers are not weights', () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [2, 3, 4, 4] });
    const vector = (name: string) =>
      build.constant(
        values([3], (at) => 1 + at),
        name,
      );
    const normal = build.op('BatchNormalization', [x, vector('scale'), vector('bias'), vector('mean'), vector('variance')]);
    const scales = build.op(
      'Concat',
      [
        build.constant(
          values([2], () => 1),
          'ones',
        ),
        build.constant(
          values([2], () => 2),
          'twos',
        ),
      ],
      { axis: int(0) },
    );
    const large = build.op('Resize', [normal, undefined, scales], { mode: 'nearest' });
    build.constant(
      values([5], () => 3),
      'forgotten',
    );
    const dead = build.constant(
      values([5], () => 4),
      'dead',
    );
    build.op('Neg', [dead]);
    build.output(build.op('Clip', [build.op('Mul', [large, build.float32(2)]), build.float32(-1), build.float32(1)]));
    const { weights, statistics } = parametersOf(build.finish(), operators);
    expect(weights.map(({ name, used, uses }) => [name, used, uses.length])).toEqual([
      ['scale', true, 1],
      ['bias', true, 1],
      ['forgotten', false, 0],
      ['dead', false, 1],
    ]);
    expect(namesOf(statistics)).toEqual(['mean', 'variance']);
  });

  test('waves of positions have frequencies, waves of an activation have weights', () => {
    const make = (positions: boolean): readonly string[] => {
      const build = new GraphBuilder(operators, 'graph');
      const x = build.input('x', { dtype: positions ? 'int64' : 'float32', shape: ['batch', 1] });
      const numbers = positions ? build.op('Cast', [x], { to: int(1) }) : x;
      build.output(
        build.op('Sin', [
          build.op('Mul', [
            numbers,
            build.constant(
              values([8], (at) => at),
              'frequencies',
            ),
          ]),
        ]),
      );
      return namesOf(parametersOf(build.finish(), operators).weights);
    };
    expect(make(true)).toEqual([]);
    expect(make(false)).toEqual(['frequencies']);
  });

  test('a weight that a body captures is used there', () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [4] });
    const w = build.constant(
      values([4], (at) => at),
      'w',
    );
    const body = build.subgraph('body');
    body.input('i', { dtype: 'int64', shape: [] });
    const go = body.input('go', { dtype: 'bool', shape: [] });
    const carried = body.input('carried', { dtype: 'float32', shape: [4] });
    body.output(body.op('Identity', [go]));
    body.output(body.op('Mul', [carried, w]));
    for (const output of build.node('Loop', [build.int64(3), undefined, x], { body: { kind: 'graph', value: body.finish() } }))
      build.output(output);
    const { weights } = parametersOf(build.finish(), operators);
    expect(weights.map(({ name, used, uses }) => [name, used, uses[0]?.node.op])).toEqual([['w', true, 'Mul']]);
  });
});

describe('shareCopies', () => {
  function twins(transposed: boolean, make: (at: number) => number): Graph {
    const build = new GraphBuilder(operators, 'graph');
    const ids = build.input('ids', { dtype: 'int64', shape: [3] });
    const table = build.constant(values([10, 8], make), 'embedding');
    const head = transposed
      ? build.constant(
          values([8, 10], (at) => make((at % 10) * 8 + Math.floor(at / 10))),
          'head',
        )
      : build.constant(values([10, 8], make), 'head');
    const product = { domain: '', name: 'product' };
    const hidden = build.op('Gather', [table, ids]);
    build.output(
      transposed ? build.op('MatMul', [hidden, head], {}, product) : build.op('Gemm', [hidden, head], { transB: int(1) }),
      'logits',
    );
    return build.finish();
  }

  test.each([true, false])('a copy (transposed: %s) becomes a use of the original', async (transposed) => {
    const graph = twins(transposed, (at) => Math.sin(at));
    const shared = shareCopies(graph);
    verifyGraph(shared.graph, operators);
    expect([...shared.copies]).toEqual([['head', { original: 'embedding', transposed }]]);
    const { weights } = parametersOf(shared.graph, operators);
    expect(weights.map(({ name, uses }) => [name, uses.length])).toEqual([['embedding', 2]]);
    const feeds = { ids: feedTensor('int64', [3], [1, 9, 4]) };
    expect((await runGraph(shared.graph, feeds))['logits']?.data).toEqual((await runGraph(graph, feeds))['logits']?.data);
  });

  test('a copy that is an output of the graph keeps its name', () => {
    const graph = twins(false, (at) => Math.sin(at));
    const head = [...graph.constants.keys()].find(({ name }) => name === 'head') as Value;
    const shared = shareCopies({ ...graph, outputs: [...graph.outputs, head] });
    verifyGraph(shared.graph, operators);
    expect(namesOf(shared.graph.outputs)).toEqual(['logits', 'head']);
    expect(shared.graph.nodes[0]?.op).toBe('Identity');
  });

  test('matrices that are equal because nothing was trained yet stay apart', () => {
    expect(shareCopies(twins(true, () => 0)).copies.size).toBe(0);
  });
});

describe('batchStatistics', () => {
  /** The graph copied in training form; new statistics are outputs `new:<name>`. */
  function training(graph: Graph): { readonly graph: Graph; readonly names: readonly string[] } {
    const build = new GraphBuilder(operators, 'training', graph.opsets['']);
    const { rewrite, updates } = batchStatistics(graph, build, operators);
    const inputs = new Map(graph.inputs.map((input) => [input.name, build.input(input.name, input.type)]));
    const made = inlineGraph(build, graph, inputs, { rewrite });
    for (const { name } of graph.outputs) build.output(made.get(name) as Value, name);
    for (const [name, value] of updates) build.output(value, `new:${name}`);
    return { graph: build.finish(), names: [...updates.keys()] };
  }

  test('normalises by the batch and returns the new statistics', async () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 2, 3] });
    const vector = (name: string, make: (at: number) => number) => build.constant(values([2], make), name);
    const parameters = [
      vector('scale', (at) => 1 + at),
      vector('bias', (at) => at),
      vector('mean', () => 0.5),
      vector('variance', () => 2),
    ];
    build.output(build.op('BatchNormalization', [x, ...parameters], { momentum: float(0.9), epsilon: float(1e-5) }), 'y');
    const graph = specializeGraph(build.finish(), { batch: 4 }, operators);
    const trained = training(graph);
    verifyGraph(trained.graph, operators);
    expect(trained.graph.inputs.map(({ name, type }) => [name, type.shape])).toEqual([['x', [4, 2, 3]]]);
    expect(trained.names).toEqual(['mean', 'variance']);
    const data = Array.from({ length: 24 }, (_, at) => Math.sin(at) + (at % 2));
    const got = await runGraph(trained.graph, { x: feedTensor('float32', [4, 2, 3], data) });
    for (const channel of [0, 1]) {
      const own = data.filter((_, at) => Math.floor(at / 3) % 2 === channel);
      const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
      const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length;
      const at = (name: string) => Number(got[`new:${name}`]?.data[channel]);
      expect(at('mean')).toBeCloseTo(0.9 * 0.5 + 0.1 * mean, 5);
      expect(at('variance')).toBeCloseTo(0.9 * 2 + (0.1 * variance * own.length) / (own.length - 1), 5);
      const first = ((data[channel * 3] as number) - mean) / Math.sqrt(variance + 1e-5);
      expect(Number(got['y']?.data[channel * 3])).toBeCloseTo(first * (1 + channel) + channel, 4);
    }
  });

  test('a real network: every statistic is tracked; a network without any has none', async () => {
    const vision = specializeGraph(await onnx('vision-script.onnx'), { batch: 2 }, operators);
    expect([...training(vision).names].sort()).toEqual(namesOf(parametersOf(vision, operators).statistics).sort());
    expect(training(specializeGraph(await onnx('digits-a.onnx'), { batch: 2 }, operators)).names).toEqual([]);
  });

  test('order of axes of a weight does not matter', () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [2, 3] });
    const w = build.constant(
      values([4, 3], (at) => at),
      'w',
    );
    build.output(build.op('MatMul', [x, build.op('Transpose', [w], { perm: ints([1, 0]) })]));
    expect(parametersOf(build.finish(), operators).weights[0]?.uses[0]?.through.map(({ op }) => op)).toEqual(['Transpose']);
  });
});
