// Run in its own process by webgpu.test.ts: compares WebGPU with the CPU and prints what it found as JSON.
import { SeededRandom } from '../../../src/common/random';
import { GraphBuilder, float, int, ints } from '../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';

const random = new SeededRandom(5);
const values = (count: number, scale: number): Float32Array => Float32Array.from({ length: count }, () => random.nextNormal() * scale);

function weight(build: GraphBuilder, rows: number, columns: number): Value {
  return build.float32([...values(rows * columns, 1 / Math.sqrt(rows))], [rows, columns]);
}

/** RMS norm, attention with 4 heads (causal mask as a constant), gated MLP: the operators of a Llama block. */
function llamaBlock(tokens: number, width: number, heads: number): Graph {
  const build = new GraphBuilder(operators, 'block');
  const x = build.input('x', { dtype: 'float32', shape: [tokens, width] });
  const norm = (value: Value): Value => {
    const mean = build.op('ReduceMean', [build.op('Mul', [value, value]), build.int64([-1])], { keepdims: int(1) });
    return build.op('Div', [value, build.op('Sqrt', [build.op('Add', [mean, build.float32(1e-5)])])]);
  };
  const split = (value: Value, axes: readonly number[]): Value =>
    build.op('Transpose', [build.op('Reshape', [value, build.int64([tokens, heads, width / heads])])], { perm: ints(axes) });
  const input = norm(x);
  const [query, key, value] = [0, 1, 2].map(() => build.op('MatMul', [input, weight(build, width, width)])) as [Value, Value, Value];
  const scores = build.op('MatMul', [split(query, [1, 0, 2]), split(key, [1, 2, 0])]);
  const mask = Array.from({ length: tokens * tokens }, (_, index) => (index % tokens > Math.floor(index / tokens) ? -1e9 : 0));
  const scaled = build.op('Mul', [scores, build.float32(1 / Math.sqrt(width / heads))]);
  const shares = build.op('Softmax', [build.op('Add', [scaled, build.float32(mask, [tokens, tokens])])], { axis: int(-1) });
  const mixed = build.op('Transpose', [build.op('MatMul', [shares, split(value, [1, 0, 2])])], { perm: ints([1, 0, 2]) });
  const flat = build.op('Reshape', [mixed, build.int64([tokens, width])]);
  const after = build.op('Add', [x, build.op('MatMul', [flat, weight(build, width, width)])]);
  const hidden = norm(after);
  const gate = build.op('MatMul', [hidden, weight(build, width, 2 * width)]);
  const up = build.op('MatMul', [hidden, weight(build, width, 2 * width)]);
  const gated = build.op('Mul', [build.op('Mul', [gate, build.op('Sigmoid', [gate])]), up]);
  build.output(build.op('Add', [after, build.op('MatMul', [gated, weight(build, 2 * width, width)])]), 'y');
  return build.finish();
}

/** Float64 is unknown to WebGPU: that node runs on the CPU, and the report must say so. */
function mixedGraph(): Graph {
  const build = new GraphBuilder(operators, 'mixed');
  const x = build.input('x', { dtype: 'float32', shape: [4, 8] });
  const wide = build.op('Cast', [build.op('MatMul', [x, weight(build, 8, 8)])], { to: int(11) });
  build.output(build.op('Cast', [build.op('Mul', [wide, wide])], { to: int(1) }), 'y');
  return build.finish();
}

function product(): Graph {
  const build = new GraphBuilder(operators, 'product');
  const x = build.input('x', { dtype: 'float32', shape: [16, 32] });
  build.output(build.op('Gemm', [x, weight(build, 32, 24)], { alpha: float(1) }), 'y');
  return build.finish();
}

async function main(): Promise<void> {
  const cpu = await createRuntime({ provider: 'cpu', threads: 1 });
  const gpu = await createRuntime({ provider: 'webgpu', threads: 1 });
  const errors: Record<string, number> = {};
  for (const [graph, shape] of [
    [product(), [16, 32]],
    [llamaBlock(12, 64, 4), [12, 64]],
    [mixedGraph(), [4, 8]],
  ] as const) {
    const x: RuntimeTensor = { dtype: 'float32', shape, data: values(shape[0] * shape[1], 1) };
    const [expected, actual] = await Promise.all(
      [cpu, gpu].map(async (runtime) => (await (await runtime.createFromGraph(graph)).run({ x }))['y']?.data as Float32Array),
    );
    errors[graph.name] = Math.max(...(expected ?? []).map((value, index) => Math.abs(value - (actual?.[index] ?? NaN))));
  }
  const automatic = (await createRuntime({ provider: 'auto', threads: 1 })).environment;
  process.stdout.write(`RESULT ${JSON.stringify({ errors, environment: gpu.environment, notes: gpu.notes(), automatic })}\n`);
  await gpu.dispose();
  await cpu.dispose();
}

void main();
