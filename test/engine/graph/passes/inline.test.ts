import { describe, expect, test } from 'vitest';
import { GraphBuilder, int } from '../../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../../src/engine/graph/graph';
import { inlineGraph } from '../../../../src/engine/graph/passes/inline';
import { verifyGraph } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops';
import { feedTensor, runGraph } from '../../../support/runGraph';

/** y = relu(x w + b), with an unused constant. */
function layer(): Graph {
  const build = new GraphBuilder(operators, 'layer');
  const x = build.input('x', { dtype: 'float32', shape: ['batch', 2] });
  const data = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
  const w = build.constant({ kind: 'inline', dtype: 'float32', shape: [2, 2], bytes: data([1, 2, 3, 4]) }, 'w');
  const b = build.constant({ kind: 'inline', dtype: 'float32', shape: [2], bytes: data([10, -100]) }, 'b');
  build.constant({ kind: 'inline', dtype: 'float32', shape: [2], bytes: data([7, 7]) }, 'unused');
  build.output(build.op('Relu', [build.op('Add', [build.op('MatMul', [x, w]), b])]), 'y');
  return build.finish();
}

/** A Loop whose body captures an outer input and an outer constant: x + 3 * (row * factor). */
function loop(): Graph {
  const build = new GraphBuilder(operators, 'looped');
  const start = build.input('start', { dtype: 'float32', shape: ['batch', 2] });
  const row = build.input('row', { dtype: 'float32', shape: [2] });
  const factor = build.constant(
    { kind: 'inline', dtype: 'float32', shape: [], bytes: new Uint8Array(Float32Array.of(10).buffer) },
    'factor',
  );
  const body = build.subgraph('body');
  body.input('i', { dtype: 'int64', shape: [] });
  const go = body.input('go', { dtype: 'bool', shape: [] });
  const x = body.input('carried', { dtype: 'float32', shape: ['batch', 2] });
  body.output(body.op('Identity', [go]));
  body.output(body.op('Add', [x, body.op('Mul', [row, factor])]));
  const attributes = { body: { kind: 'graph', value: body.finish() } } as const;
  build.output(build.node('Loop', [build.int64(3), undefined, start], attributes)[0] as Value, 'y');
  return build.finish();
}

describe('inlineGraph', () => {
  test('twice into one graph: names stay unique, and substitutes replace inputs and constants', async () => {
    const build = new GraphBuilder(operators, 'main');
    const x = build.input('x', { dtype: 'float32', shape: [1, 2] });
    const first = inlineGraph(build, layer(), new Map([['x', x]])).get('y') as Value;
    const weights = build.input('other', { dtype: 'float32', shape: [2, 2] });
    const second = inlineGraph(build, layer(), new Map([['x', first], ['w', weights]])).get('y') as Value; // prettier-ignore
    expect(second.type).toEqual({ dtype: 'float32', shape: [1, 2] });
    build.output(second, 'z');
    const graph = build.finish();
    verifyGraph(graph, operators);
    expect([...graph.constants.keys()].map((value) => value.name)).toEqual(['w', 'b', 'b_1']);
    const got = await runGraph(graph, { x: feedTensor('float32', [1, 2], [1, 1]), other: feedTensor('float32', [2, 2], [1, 0, 0, 1]) });
    // First layer: [4 + 10, 6 - 100] -> [14, 0]; second, with the identity: [24, 0].
    expect(Array.from(got['z']?.data as ArrayLike<number>)).toEqual([24, 0]);
  });

  test('bodies follow what they capture', async () => {
    const build = new GraphBuilder(operators, 'main');
    const a = build.input('a', { dtype: 'float32', shape: [1, 2] });
    const b = build.input('b', { dtype: 'float32', shape: [2] });
    const made = inlineGraph(build, loop(), new Map([['start', a], ['row', build.op('Neg', [b])]]), { prefix: 'inner/', dimensions: new Map([['batch', 1]]) }); // prettier-ignore
    const y = made.get('y') as Value;
    expect(y.name).toBe('inner/y');
    expect(y.type.shape).toEqual([1, 2]);
    build.output(y, 'z');
    const graph = build.finish();
    verifyGraph(graph, operators);
    const got = await runGraph(graph, { a: feedTensor('float32', [1, 2], [1, 2]), b: feedTensor('float32', [2], [1, 2]) });
    expect(Array.from(got['z']?.data as ArrayLike<number>)).toEqual([-29, -58]);
  });

  test('nodes named like values are renamed', () => {
    const build = new GraphBuilder(operators, 'main');
    const inner: Graph = (() => {
      const graph = layer();
      const named = graph.nodes.map((node) => ({ ...node, name: node.outputs[0]?.name ?? node.name }));
      return { ...graph, nodes: [{ ...(named[0] as (typeof named)[0]), name: 'b' }, ...named.slice(1)] };
    })();
    const made = inlineGraph(build, inner, new Map([['x', build.input('x', { dtype: 'float32', shape: [1, 2] })]]));
    expect(made.get('y')?.name).toBe('y');
    expect(made.get('b')?.name).toBe('b');
  });

  test('an input without a value, a value of another type, and an unknown name are refused', () => {
    const build = new GraphBuilder(operators, 'main');
    const x = build.input('x', { dtype: 'float32', shape: [1, 2] });
    const wide = build.input('wide', { dtype: 'float32', shape: [1, 3] });
    const whole = build.input('whole', { dtype: 'int64', shape: [1, 2] });
    const inline = (substitutes: readonly (readonly [string, Value])[]) => () => inlineGraph(build, layer(), new Map(substitutes));
    expect(inline([])).toThrow("Input 'x' (float32[batch, 2]) of graph 'layer' has no value.");
    expect(inline([['x', wide]])).toThrow("'x' of graph 'layer' is float32[batch, 2], but its substitute 'wide' is float32[1, 3].");
    expect(inline([['x', whole]])).toThrow("its substitute 'whole' is int64[1, 2]");
    expect(inline([['x', x], ['v', x]])).toThrow("neither an input nor a constant named 'v'"); // prettier-ignore
    expect(() => inlineGraph(build, layer(), new Map([['x', x], ['w', x]]))).toThrow("'w' of graph 'layer' is float32[2, 2]"); // prettier-ignore
  });

  test('unused attribute kinds stay as they are', () => {
    const source = new GraphBuilder(operators, 'source');
    const x = source.input('x', { dtype: 'float32', shape: [2, 3] });
    source.output(source.op('Concat', [x, x], { axis: int(-1) }), 'y');
    const build = new GraphBuilder(operators, 'main');
    inlineGraph(build, source.finish(), new Map([['x', build.input('x', { dtype: 'float32', shape: [2, 3] })]]));
    expect(build.nodesSoFar()[0]?.attributes).toEqual({ axis: { kind: 'int', value: -1 } });
  });
});
