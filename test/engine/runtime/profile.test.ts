import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import { cpuProvider, readProfile, shareByProvider } from '../../../src/engine/runtime/profile';
import { createRuntime } from '../../../src/engine/runtime/runtime';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-profile-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lines as ONNX Runtime writes them: one event a line, commas between, spaces before colons. */
function profile(events: readonly (readonly [name: string, operator: string, provider: string, microseconds: number])[]): string {
  const lines = events.map(
    ([name, operator, provider, duration]) =>
      `{"cat" : "Node","pid" :1,"tid" :1,"dur" :${duration},"ts" :9597,"ph" : "X","name" :"${name}_kernel_time","args" : ` +
      `{"op_name" : "${operator}","output_type_shape" : [{"float":[1,128]}],"provider" : "${provider}"}}`,
  );
  const session = '{"cat" : "Session","pid" :1,"tid" :1,"dur" :555,"ts" :3,"ph" : "X","name" :"model_loading_uri","args" : {}}';
  return `[\n${[session, ...lines].join(',\n')}\n]\n`;
}

test('shares of time and nodes per provider; a Loop counts as one node with the time of its body', () => {
  const file = join(folder, 'run.json');
  writeFileSync(
    file,
    profile([
      ['loop', 'Loop', cpuProvider, 9000],
      ['product', 'MatMul', 'CUDAExecutionProvider', 300],
      ['product', 'MatMul', 'CUDAExecutionProvider', 100],
      ['sum', 'Add', 'CUDAExecutionProvider', 500],
      ['shape', 'Shape', cpuProvider, 100],
    ]),
  );
  expect([...readProfile(file)][1]).toEqual({
    node: 'product',
    operator: 'MatMul',
    provider: 'CUDAExecutionProvider',
    microseconds: 300,
    outputs: '[{"float":[1,128]}]',
  });
  expect(shareByProvider(readProfile(file))).toEqual([
    { provider: 'CUDAExecutionProvider', nodes: 2, runs: 3, milliseconds: 0.9, share: 0.9, operators: ['Add', 'MatMul'] },
    { provider: cpuProvider, nodes: 2, runs: 2, milliseconds: 0.1, share: 0.1, operators: ['Shape', 'Loop'] },
  ]);
});

test('a profile larger than one read and a truncated one are read to their end', () => {
  const file = join(folder, 'long.json');
  const text = profile(Array.from({ length: 12_000 }, (_, index) => [`node${index}`, 'Add', cpuProvider, 1] as const));
  expect(text.length).toBeGreaterThan(2 * 2 ** 20);
  writeFileSync(file, text);
  expect(shareByProvider(readProfile(file))[0]).toMatchObject({ nodes: 12_000, milliseconds: 12 });
  writeFileSync(file, text.slice(0, text.length - 40));
  expect(shareByProvider(readProfile(file))[0]).toMatchObject({ nodes: 11_999 });
  writeFileSync(file, '');
  expect(shareByProvider(readProfile(file))).toEqual([]);
});

test("ONNX Runtime's own profile has the nodes of a Loop's body", async () => {
  const build = new GraphBuilder(operators, 'main');
  const start = build.input('start', { dtype: 'float32', shape: [4] });
  const body = build.subgraph('body');
  body.input('i', { dtype: 'int64', shape: [] });
  const go = body.input('go', { dtype: 'bool', shape: [] });
  const x = body.input('x', { dtype: 'float32', shape: [4] });
  body.output(body.op('Identity', [go]));
  body.output(body.op('Mul', [body.op('Add', [x, x]), x]));
  const [last] = build.node('Loop', [build.int64(3), undefined, start], { body: { kind: 'graph', value: body.finish() } }, { outputs: 1 });
  if (last) build.output(build.op('ReduceSum', [last, build.int64([0])], { keepdims: int(0) }), 'y');
  const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
  const session = await runtime.createFromGraph(build.finish(), { profile: join(folder, 'own') });
  await session.run({ start: { dtype: 'float32', shape: [4], data: Float32Array.of(0.1, 0.2, 0.3, 0.4) } });
  await session.release();
  await runtime.dispose();
  const [file] = readdirSync(folder);
  const runs = [...readProfile(join(folder, file as string))];
  expect(runs.filter(({ operator }) => operator === 'Mul')).toHaveLength(3);
  expect(new Set(runs.map(({ provider }) => provider))).toEqual(new Set([cpuProvider]));
  expect(shareByProvider(runs)).toMatchObject([{ provider: cpuProvider, share: 1 }]);
});
