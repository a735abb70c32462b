import { describe, expect, test } from 'vitest';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { printGraph } from '../../../src/engine/graph/printer';
import { findGraphProblems, verifyGraph } from '../../../src/engine/graph/verifier';
import { operators } from '../../../src/engine/ops';
import { feedTensor, runGraph } from '../../support/runGraph';

/** A Loop that doubles a carried matrix, appends a row to a second one, and stacks the row sums. */
function loopGraph() {
  const build = new GraphBuilder(operators, 'main');
  const start = build.input('start', { dtype: 'float32', shape: ['batch', 4] });
  const row = build.input('row', { dtype: 'float32', shape: [1, 4] });
  const body = build.subgraph('body');
  body.input('i', { dtype: 'int64', shape: [] });
  const go = body.input('go', { dtype: 'bool', shape: [] });
  const x = body.input('x', { dtype: 'float32', shape: ['batch', 4] });
  const list = body.input('list', { dtype: 'float32', shape: ['rows', 4] });
  body.output(body.op('Identity', [go]));
  body.output(body.op('Add', [x, x]));
  body.output(body.op('Concat', [list, row], { axis: int(0) }));
  body.output(body.op('ReduceSum', [x, body.int64([1])], { keepdims: int(0) }));
  const outputs = build.node(
    'Loop',
    [build.int64(3), undefined, start, row],
    { body: { kind: 'graph', value: body.finish() } },
    { outputs: 3 },
  );
  outputs.forEach((value, index) => build.output(value, `y${index}`));
  return build.finish();
}

describe('operators with bodies', () => {
  test('Loop: carried values, growing values and stacked values', async () => {
    const graph = loopGraph();
    verifyGraph(graph, operators);
    const result = await runGraph(graph, { start: feedTensor('float32', [2, 4]), row: feedTensor('float32', [1, 4]) });
    expect(result['y0']?.shape).toEqual([2, 4]);
    expect(result['y1']?.shape).toEqual([4, 4]);
    expect(result['y2']?.shape).toEqual([3, 2]);
    expect(graph.outputs.map((value) => value.type)).toEqual([
      { dtype: 'float32', shape: ['batch', 4] },
      { dtype: 'float32', shape: ['Loop.1.0', 4] },
      { dtype: 'float32', shape: [3, 'batch'] },
    ]);
  });

  test('If: lengths that differ between branches become names', async () => {
    const build = new GraphBuilder(operators, 'main');
    const condition = build.input('condition', { dtype: 'bool', shape: [] });
    const x = build.input('x', { dtype: 'float32', shape: [2, 3] });
    const yes = build.subgraph('yes');
    yes.output(yes.op('Concat', [x, x], { axis: int(0) }));
    const no = build.subgraph('no');
    no.output(no.op('Neg', [x]));
    const branches = { then_branch: { kind: 'graph', value: yes.finish() }, else_branch: { kind: 'graph', value: no.finish() } } as const;
    const y = build.output(build.op('If', [condition], branches), 'y');
    const graph = build.finish();
    verifyGraph(graph, operators);
    expect(y.type).toEqual({ dtype: 'float32', shape: ['If.0.0', 3] });
    const feeds = { x: feedTensor('float32', [2, 3]) };
    expect((await runGraph(graph, { ...feeds, condition: feedTensor('bool', [], [1]) }))['y']?.shape).toEqual([4, 3]);
    expect((await runGraph(graph, { ...feeds, condition: feedTensor('bool', [], [0]) }))['y']?.shape).toEqual([2, 3]);
  });

  test('Scan: state and stacked output', async () => {
    const build = new GraphBuilder(operators, 'main');
    const state = build.input('state', { dtype: 'float32', shape: [4] });
    const sequence = build.input('sequence', { dtype: 'float32', shape: ['time', 4] });
    const body = build.subgraph('body');
    const sum = body.input('sum', { dtype: 'float32', shape: [4] });
    const slice = body.input('slice', { dtype: 'float32', shape: [4] });
    const next = body.output(body.op('Add', [sum, slice]));
    body.output(body.op('Mul', [next, next]));
    const attributes = { body: { kind: 'graph', value: body.finish() }, num_scan_inputs: int(1) } as const;
    build.node('Scan', [state, sequence], attributes, { outputs: 2 }).forEach((value, index) => build.output(value, `y${index}`));
    const graph = build.finish();
    verifyGraph(graph, operators);
    expect(graph.outputs[1]?.type.shape).toEqual(['time', 4]);
    const result = await runGraph(graph, { state: feedTensor('float32', [4]), sequence: feedTensor('float32', [5, 4]) });
    expect(result['y1']?.shape).toEqual([5, 4]);
  });
});

describe('printing', () => {
  test('a graph with a body prints as one stable text', () => {
    expect(printGraph(loopGraph())).toBe(`graph main opset 21
input  start: float32[batch, 4]
input  row: float32[1, 4]
const  constant_1: int64[] = {3}
Loop_output: float32[batch, 4], Loop_output1: float32[Loop.1.0, 4], Loop_output2: float32[3, batch] = Loop(constant_1, _, start, row)
  body:
    graph body opset 21
    input  i: int64[]
    input  go: bool[]
    input  x: float32[batch, 4]
    input  list: float32[rows, 4]
    const  constant: int64[1] = {1}
    Identity_output: bool[] = Identity(go)
    Add_output: float32[batch, 4] = Add(x, x)
    Concat_output: float32[rows + 1, 4] = Concat(list, row) axis=0
    ReduceSum_output: float32[batch] = ReduceSum(x, constant) keepdims=0
    output Identity_output
    output Add_output
    output Concat_output
    output ReduceSum_output
y0: float32[batch, 4] = Identity(Loop_output)
y1: float32[Loop.1.0, 4] = Identity(Loop_output1)
y2: float32[3, batch] = Identity(Loop_output2)
output y0
output y1
output y2
`);
  });
});

describe('verifying', () => {
  const base = loopGraph();
  const [loop, first] = base.nodes as [(typeof base.nodes)[0], (typeof base.nodes)[0]];
  const codes = (graph: typeof base) => findGraphProblems(graph, operators).map((problem) => [problem.code, problem.node]);

  test.each([
    ['a missing node', { ...base, nodes: base.nodes.slice(1) }, ['undefined-value', first.name]],
    ['nodes in the wrong order', { ...base, nodes: [first, loop, ...base.nodes.slice(2)] }, ['order', first.name]],
    ['a value made twice', { ...base, nodes: [...base.nodes, { ...first, name: 'again' }] }, ['duplicate-name', 'again']],
    ['a node name used twice', { ...base, nodes: [...base.nodes, { ...first, outputs: [] }] }, ['duplicate-name', first.name]],
    [
      'an operator nobody knows',
      { ...base, nodes: [...base.nodes, { ...first, name: 'odd', op: 'Frobnicate', outputs: [] }] },
      ['unknown-operator', 'odd'],
    ],
    [
      'a domain without opset',
      { ...base, nodes: [...base.nodes, { ...first, name: 'odd', domain: 'com.microsoft', op: 'QuickGelu', outputs: [] }] },
      ['opset', 'odd'],
    ],
    [
      'a wrong type',
      {
        ...base,
        nodes: [loop, { ...first, outputs: [{ name: 'y0', type: { dtype: 'int64', shape: ['batch', 4] } }] }, ...base.nodes.slice(2)],
      },
      ['type', first.name],
    ],
    [
      'a constant that does not fill its shape',
      { ...base, constants: new Map([...base.constants].map(([value, data]) => [value, { ...data, bytes: new Uint8Array(7) }])) },
      ['constant', undefined],
    ],
  ] as const)('%s is found', (_, graph, expected) => {
    expect(codes(graph as typeof base)).toContainEqual(expected);
  });

  test('the error names graph and node', () => {
    expect(() => verifyGraph({ ...base, nodes: base.nodes.slice(1) }, operators)).toThrow(/'main'.*'Identity_1'/);
  });
});
