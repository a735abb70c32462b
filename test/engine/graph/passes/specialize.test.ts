import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readGraph } from '../../../../src/engine/formats/onnx/readGraph';
import { GraphBuilder, int, ints } from '../../../../src/engine/graph/builder';
import type { Graph, Node, Value } from '../../../../src/engine/graph/graph';
import { printGraph } from '../../../../src/engine/graph/printer';
import { specializeGraph, type InputShapes } from '../../../../src/engine/graph/passes/specialize';
import { isStaticShape } from '../../../../src/engine/graph/shapes';
import type { ConstantData } from '../../../../src/engine/graph/types';
import { verifyGraph } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops';
import { elementCount } from '../../../../src/protocol/dtypes';
import { decoderGraph } from '../../../support/decoderGraph';
import { feedTensor, runGraph } from '../../../support/runGraph';

const onnx = (name: string) =>
  readGraph(join(import.meta.dirname, '../../../fixtures/onnx', name), { operators, externalFrom: Infinity, opset: 21 });

/** Operators in order, without literals and without an Identity that only gives an output its name. */
const opsOf = (graph: Graph): string[] =>
  graph.nodes.flatMap((node) =>
    node.op === 'Constant' || (node.op === 'Identity' && node.outputs.some((output) => output && graph.outputs.includes(output)))
      ? []
      : [node.op],
  );
const shapesOf = (graph: Graph) => graph.nodes.flatMap((node) => node.outputs.map((output) => output?.type.shape));

function inlineConstant(dtype: 'int64' | 'float32' | 'bool', shape: readonly number[], values: readonly number[]): ConstantData {
  const array =
    dtype === 'int64' ? BigInt64Array.from(values.map(BigInt)) : dtype === 'bool' ? Uint8Array.from(values) : Float32Array.from(values);
  return { kind: 'inline', dtype, shape, bytes: new Uint8Array(array.buffer) };
}

/** Runs both graphs on the same feeds; every output must agree to the last few bits. */
async function expectSameResults(original: Graph, special: Graph, feeds: Parameters<typeof runGraph>[1]): Promise<void> {
  verifyGraph(special, operators);
  const expected = await runGraph(original, feeds);
  const kept = Object.fromEntries(Object.entries(feeds).filter(([name]) => special.inputs.some((input) => input.name === name)));
  const got = await runGraph(special, kept);
  expect(Object.keys(got).length).toBeGreaterThan(0);
  for (const [name, { shape, data }] of Object.entries(got)) {
    expect(shape, name).toEqual(expected[name]?.shape);
    expect(special.outputs.find((output) => output.name === name)?.type.shape, name).toEqual(shape);
    const want = Array.from((expected[name]?.data ?? []) as ArrayLike<number>, Number);
    const scale = Math.max(1e-6, ...want.map(Math.abs));
    Array.from(data as ArrayLike<number>, Number).forEach((value, at) =>
      expect(Math.abs(value - (want[at] as number)) / scale, `${name}[${at}]`).toBeLessThan(1e-6),
    );
  }
}

describe('imported graphs', () => {
  test('a convolutional network', async () => {
    const graph = await onnx('digits-a.onnx');
    const special = specializeGraph(graph, { batch: 3 }, operators);
    expect(shapesOf(special).every(isStaticShape)).toBe(true);
    await expectSameResults(graph, special, { input: feedTensor('float32', [3, 1, 8, 8]) });
  });

  test('a click model: the shape of its Expand is known, ids are still inputs', async () => {
    const graph = await onnx('din-a.onnx');
    const special = specializeGraph(graph, { history: [5, 20] }, operators);
    expect(opsOf(graph)).toContain('Shape');
    expect(opsOf(special)).not.toContain('Shape');
    expect(shapesOf(special).every(isStaticShape)).toBe(true);
    const history = feedTensor(
      'int64',
      [5, 20],
      Array.from({ length: 100 }, (_, at) => (at * 37) % 1001),
    );
    await expectSameResults(graph, special, { history, target: feedTensor('int64', [5], [1, 2, 3, 4, 1000]) });
  });
});

describe('language models', () => {
  let graph: Graph;
  beforeAll(async () => {
    graph = await decoderGraph('test/fixtures/models/tiny-mistral');
  });
  const lengths = { batch_size: 2, sequence_length: 7, past_sequence_length: 0 };
  const feeds = (names: readonly Value[]) =>
    Object.fromEntries(
      names.map((input) => {
        const shape = input.type.shape as readonly number[];
        const values = Array.from({ length: elementCount(shape) }, (_, at) =>
          input.name === 'attention_mask' ? 1 : input.name === 'position_ids' ? at % 7 : (at * 29) % 96,
        );
        return [input.name, feedTensor(input.type.dtype, shape, values)];
      }),
    );

  test('no shape arithmetic is left, and results are the same', async () => {
    expect(opsOf(graph)).toContain('Shape');
    const special = specializeGraph(graph, lengths, operators);
    expect(opsOf(special)).not.toContain('Shape');
    expect(shapesOf(special).every(isStaticShape)).toBe(true);
    await expectSameResults(graph, special, feeds(special.inputs));
  });

  test('with mask and positions as constants and without the cache, the mask is one constant', async () => {
    const values = new Map<string, ConstantData>([
      ['attention_mask', inlineConstant('int64', [2, 7], new Array<number>(14).fill(1))],
      [
        'position_ids',
        inlineConstant(
          'int64',
          [2, 7],
          Array.from({ length: 14 }, (_, at) => at % 7),
        ),
      ],
    ]);
    const special = specializeGraph(graph, lengths, operators, { values, outputs: ['logits'] });
    expect(special.outputs.map((output) => output.name)).toEqual(['logits']);
    for (const op of ['Shape', 'Range', 'Less', 'LessOrEqual', 'GreaterOrEqual', 'And', 'Identity'])
      expect(opsOf(special)).not.toContain(op);
    const everything = feeds(specializeGraph(graph, lengths, operators).inputs);
    await expectSameResults(graph, special, everything);
  });

  test('the sample model, whose cache inputs are empty', async () => {
    const base = await decoderGraph('media/samples/loom-base');
    const special = specializeGraph(base, { ...lengths, sequence_length: 16 }, operators, { outputs: ['logits'] });
    expect(opsOf(special)).not.toContain('Shape');
    expect(shapesOf(special).every(isStaticShape)).toBe(true);
    // Nothing to put before the new keys: the cache's Concat is gone.
    expect(opsOf(special).length).toBeLessThan(opsOf(base).length);
  });
});

describe('what folds', () => {
  /** A graph of x [batch, 6] made by `make`. */
  function graphOf(make: (build: GraphBuilder, x: Value) => Value): Graph {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 6] });
    build.output(make(build, x), 'y');
    return build.finish();
  }
  const feed = { x: feedTensor('float32', [4, 6]) };

  test.each<[string, (build: GraphBuilder, x: Value) => Value, readonly string[]]>([
    [
      'halves of an axis, as exporters split heads',
      (build, x) => {
        const batch = build.op('Gather', [build.op('Shape', [x]), build.int64(0, [])], { axis: int(0) });
        const half = build.op('Div', [build.op('Gather', [build.op('Shape', [x]), build.int64(1, [])]), build.int64(2, [])]);
        const target = build.op(
          'Concat',
          [build.op('Unsqueeze', [batch, build.int64([0])]), build.op('Unsqueeze', [half, build.int64([0])]), build.int64([-1])],
          { axis: int(0) },
        );
        return build.op('Reshape', [x, target]);
      },
      ['Reshape'],
    ],
    [
      'a scale computed from a length',
      (build, x) => {
        const width = build.op('Cast', [build.op('Size', [x])], { to: int(1) });
        return build.op('Mul', [x, build.op('Reciprocal', [build.op('Sqrt', [width])])]);
      },
      ['Mul'],
    ],
    [
      'a causal mask',
      (build, x) => {
        const length = build.op('Squeeze', [build.op('Shape', [x], { start: int(1) }), build.int64([0])]);
        const places = build.op('Range', [build.int64(0, []), length, build.int64(1, [])]);
        const mask = build.op('LessOrEqual', [
          build.op('Unsqueeze', [places, build.int64([0])]),
          build.op('Unsqueeze', [places, build.int64([1])]),
        ]);
        const fill = build.op('Where', [mask, build.float32(0), build.float32(-1e9)]);
        return build.op('Add', [build.op('Unsqueeze', [x, build.int64([1])]), fill]);
      },
      ['Unsqueeze', 'Add'],
    ],
    [
      'identities, a cast to the same type, an expand to the same shape, dropout',
      (build, x) => {
        const same = build.op('Identity', [build.op('Identity', [x])]);
        const expanded = build.op('Expand', [build.op('Cast', [same], { to: int(1) }), build.op('Shape', [x])]);
        return build.op('Neg', [build.op('Dropout', [expanded, build.float32(0.5)])]);
      },
      ['Neg'],
    ],
    [
      'a slice up to the largest whole number',
      (build, x) => {
        const end = build.constant({
          kind: 'inline',
          dtype: 'int64',
          shape: [1],
          bytes: new Uint8Array(BigInt64Array.of(2n ** 63n - 1n).buffer),
        });
        const ends = build.op('Concat', [end, end], { axis: int(0) });
        return build.op('Slice', [x, build.int64([1, 2]), ends]);
      },
      ['Slice'],
    ],
    [
      'negative steps, transposes, tiles, splits, sums and products',
      (build, x) => {
        const lengths = build.op('Shape', [x]);
        const reversed = build.op('Slice', [lengths, build.int64([-1]), build.int64([-100]), build.int64([0]), build.int64([-1])]);
        const product = build.op('ReduceProd', [build.op('Tile', [reversed, build.int64([2])])], { keepdims: int(0) });
        const square = build.op(
          'Transpose',
          [build.op('Reshape', [build.op('Range', [build.int64(0, []), build.int64(6, []), build.int64(1, [])]), build.int64([2, 3])])],
          { perm: ints([1, 0]) },
        );
        const [first] = build.node('Split', [square], { axis: int(1), num_outputs: int(2) }, { outputs: 2 });
        const table = build.op('Add', [
          build.op('Squeeze', [first, build.int64([1])]),
          build.op('Mod', [build.op('Neg', [product]), build.int64([7])]),
        ]);
        return build.op('Gather', [x, build.op('Mod', [table, build.int64(6, [])])], { axis: int(1) });
      },
      ['Gather'],
    ],
    [
      'a branch on the rank',
      (build, x) => {
        const yes = build.subgraph('yes');
        yes.output(yes.op('Relu', [x]));
        const no = build.subgraph('no');
        no.output(no.op('Neg', [build.op('Identity', [x])]));
        const rank = build.op('Squeeze', [build.op('Shape', [build.op('Shape', [x])]), build.int64([0])]);
        const condition = build.op('Equal', [rank, build.int64(3, [])]);
        return build.op('If', [condition], {
          then_branch: { kind: 'graph', value: yes.finish() },
          else_branch: { kind: 'graph', value: no.finish() },
        });
      },
      ['Neg'],
    ],
  ])('%s', async (_, make, left) => {
    const graph = graphOf(make);
    const special = specializeGraph(graph, { batch: 4 }, operators);
    expect(opsOf(special)).toEqual(left);
    await expectSameResults(graph, special, feed);
  });

  test('weights and values computed from them stay nodes, so that they can be trained', () => {
    const graph = graphOf((build, x) => {
      const w = build.constant(inlineConstant('float32', [3, 6], new Array<number>(18).fill(1)), 'w');
      return build.op('MatMul', [x, build.op('Transpose', [w])]);
    });
    expect(opsOf(specializeGraph(graph, { batch: 4 }, operators))).toEqual(['Transpose', 'MatMul']);
  });

  test('large tables of numbers stay nodes', () => {
    const graph = graphOf((build, x) => {
      const table = build.op('Expand', [build.op('Cast', [build.op('Size', [x])], { to: int(1) }), build.int64([256, 257, 1])]);
      return build.op('Add', [x, table]);
    });
    const special = specializeGraph(graph, { batch: 1 }, operators);
    expect(opsOf(special)).toEqual(['Expand', 'Add']);
  });

  test('captured values in bodies follow', async () => {
    const build = new GraphBuilder(operators, 'looped');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 6] });
    const rows = build.op('Gather', [build.op('Shape', [x]), build.int64(0, [])]);
    const body = build.subgraph('body');
    body.input('i', { dtype: 'int64', shape: [] });
    const go = body.input('go', { dtype: 'bool', shape: [] });
    const carried = body.input('carried', { dtype: 'float32', shape: ['batch', 6] });
    body.output(body.op('Identity', [go]));
    body.output(body.op('Add', [carried, body.op('Cast', [rows], { to: int(1) })]));
    build.output(build.node('Loop', [build.int64(3), undefined, x], { body: { kind: 'graph', value: body.finish() } })[0] as Value, 'y');
    const graph = build.finish();
    const special = specializeGraph(graph, { batch: 4 }, operators);
    expect(printGraph(special)).not.toMatch(/Cast\(|Shape\(|Gather\(/);
    expect(special.outputs[0]?.type.shape).toEqual([4, 6]);
    await expectSameResults(graph, special, feed);
  });

  test('an output that is an input, the same output twice, and a constant output keep their names', async () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 6] });
    build.output(build.op('Identity', [x]), 'same');
    build.output(build.op('Identity', [x]), 'again');
    build.output(build.op('Shape', [x]), 'lengths');
    const graph = build.finish();
    const special = specializeGraph(graph, { batch: 4 }, operators);
    expect(special.outputs.map((output) => output.name)).toEqual(['same', 'again', 'lengths']);
    await expectSameResults(graph, special, feed);
  });

  test('nodes called like other values', () => {
    const graph = graphOf((build, x) => build.op('Relu', [build.op('Neg', [x])]));
    const nodes = graph.nodes.map((node: Node) => ({ ...node, name: node.op === 'Neg' ? 'y' : 'x' }));
    const special = specializeGraph({ ...graph, nodes }, { batch: 2 }, operators);
    verifyGraph(special, operators);
    expect(special.outputs[0]?.name).toBe('y');
  });
});

describe('what is refused', () => {
  const build = new GraphBuilder(operators, 'model');
  const x = build.input('x', { dtype: 'float32', shape: ['batch', 6] });
  const mask = build.input('mask', { dtype: 'float32', shape: ['batch', 'past + new'] });
  build.output(x, 'y');
  build.output(mask, 'z');
  const graph = build.finish();
  test.each<[InputShapes, string]>([
    [{ batch: 2 }, "takes input 'mask' of shape [batch, past + new]: the length of 'past + new' is missing"],
    [{ batches: 2 }, "has no axis 'batches'. Its axes are 'batch', 'past', 'new'; its inputs are 'x', 'mask'"],
    [{ y: [2, 6] }, "has no input 'y'. Its inputs are 'x', 'mask'"],
    [{ x: [2, 6, 1] }, "takes input 'x' of shape [batch, 6], got [2, 6, 1]"],
    [{ x: [2, 7] }, "takes input 'x' of shape [batch, 6], got [2, 7]"],
    [{ x: [-2, 6] }, "takes input 'x' of shape [batch, 6], got [-2, 6]"],
    [{ batch: 1.5 }, "needs a whole number of at least 0 as the length of axis 'batch', got 1.5"],
    [{ batch: 3, x: [2, 6] }, "takes input 'x' of shape [batch, 6] with batch = 3, got [2, 6]"],
    [{ x: [2, 6], mask: [3, 4] }, "takes input 'mask' of shape [batch, past + new] with batch = 2, got [3, 4]"],
    [{ batch: 2, past: 1, new: 2, mask: [2, 4] }, "takes input 'mask' of shape [batch, past + new] with past + new = 3, got [2, 4]"],
  ])('%j', (shapes, message) => {
    expect(() => specializeGraph(graph, shapes, operators)).toThrow(message);
  });

  test('an unknown output', () => {
    const shapes = { batch: 2, past: 0, new: 6 };
    expect(() => specializeGraph(graph, shapes, operators, { outputs: ['logits'] })).toThrow(
      "has no output 'logits'. Its outputs are 'y', 'z'",
    );
  });
});
