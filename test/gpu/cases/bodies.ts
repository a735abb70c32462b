import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { seededTensor } from '../../support/feeds';
import type { Case } from '../placedRun';
import { normalTensor } from './normalTensor';

const scalar = (dtype: 'int64' | 'bool', value: number): RuntimeTensor => seededTensor(dtype, [], [value]);

/** Loop, Scan and If, alone and within each other, with captured values and growing ones. */
export function bodyCases(): readonly Case[] {
  return [
    {
      name: 'Loop: carried, growing and stacked values, rows gathered by step',
      graph: loopGraph(),
      feeds: { trips: scalar('int64', 5), start: normalTensor([2, 4]), rows: normalTensor([5, 4], 2) },
    },
    {
      name: 'Loop of no steps',
      graph: loopGraph(),
      feeds: { trips: scalar('int64', 0), start: normalTensor([2, 4]), rows: normalTensor([5, 4], 2) },
    },
    {
      name: 'Scan over row blocks with a fused multiply-add',
      graph: scanGraph(),
      feeds: { left: normalTensor([4, 8, 16]), right: normalTensor([16, 12], 2), value: normalTensor([4, 8, 12], 3) },
    },
    ...[0, 1].map((condition) => ({
      name: `If, the ${condition === 1 ? 'first' : 'second'} branch`,
      graph: branchGraph(),
      feeds: { condition: scalar('bool', condition), x: normalTensor([2, 3]) },
    })),
    {
      name: 'Scan within If within Loop',
      graph: nestedGraph(),
      feeds: { trips: scalar('int64', 4), start: normalTensor([3, 4]), limit: normalTensor([], 5) },
    },
    {
      name: 'Loop that draws noise from a pool by offset',
      graph: poolGraph(),
      feeds: {
        trips: scalar('int64', 3),
        pool: normalTensor([64]),
        offsets: seededTensor('int64', [3], [0, 17, 40]),
        start: normalTensor([4, 4], 2),
      },
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
