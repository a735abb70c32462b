import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { numberToFloat16 } from '../../../src/common/halfFloat';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Graph } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import type { DType } from '../../../src/protocol/dtypes';
import { LoomweightError } from '../../../src/protocol/errors';
import { openRuntime } from '../../support/fixtures';

const runtime = await openRuntime();

function doubled(dtype: DType = 'float32'): Graph {
  const build = new GraphBuilder(operators, 'doubled');
  const x = build.input('x', { dtype, shape: ['n'] });
  build.output(build.op('Add', [x, x]), 'y');
  return build.finish();
}

async function failure(promise: Promise<unknown>): Promise<LoomweightError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LoomweightError);
  return error as LoomweightError;
}

describe('element types pass to the runtime and back unchanged', () => {
  const half = Uint16Array.from([1, -2.5, 65504], numberToFloat16);
  const rows: readonly (readonly [RuntimeTensor, RuntimeTensor['data']])[] = [
    [{ dtype: 'float32', shape: [2], data: Float32Array.of(1.5, -3) }, Float32Array.of(3, -6)],
    [{ dtype: 'float64', shape: [2], data: Float64Array.of(1e-200, 4) }, Float64Array.of(2e-200, 8)],
    [{ dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 53n + 1n, -1n) }, BigInt64Array.of(2n ** 54n + 2n, -2n)],
    [{ dtype: 'int32', shape: [1], data: Int32Array.of(-7) }, Int32Array.of(-14)],
    [{ dtype: 'float16', shape: [3], data: half }, Uint16Array.from([2, -5, Infinity], numberToFloat16)],
  ];
  test.each(rows)('%o', async (input, expected) => {
    const session = await runtime.createFromGraph(doubled(input.dtype));
    const { y } = await session.run({ x: input });
    expect(y).toEqual({ dtype: input.dtype, shape: input.shape, data: expected });
    await session.release();
  });

  test('4-bit values, which would crash the process, are refused', async () => {
    const build = new GraphBuilder(operators, 'nibbles');
    const x = build.input('x', { dtype: 'uint8', shape: [3] });
    build.output(build.op('Cast', [x], { to: int(21) }), 'y');
    const session = await runtime.createFromGraph(build.finish());
    const error = await failure(session.run({ x: { dtype: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 3) } }));
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(error.message).toContain('y (uint4)');
    await session.release();
  });
});

describe('errors', () => {
  test('a missing and an unknown input are named', async () => {
    const session = await runtime.createFromGraph(doubled());
    const error = await failure(session.run({ z: { dtype: 'float32', shape: [1], data: Float32Array.of(1) } }));
    expect(error).toMatchObject({ code: 'invalid-argument', message: "The inputs of 'doubled' are x; missing: x; unknown: z." });
  });

  test('an array that does not match its shape is refused before it reaches the runtime', async () => {
    const session = await runtime.createFromGraph(doubled());
    const error = await failure(session.run({ x: { dtype: 'float32', shape: [3], data: Float32Array.of(1) } }));
    expect(error.message).toBe("Input 'x' of type float32 and shape [3] needs a Float32Array of 3, got a Float32Array of 1.");
  });

  test('a failure inside the runtime names node, operator and fed shapes', async () => {
    const build = new GraphBuilder(operators, 'clash');
    const a = build.input('a', { dtype: 'float32', shape: ['n'] });
    const b = build.input('b', { dtype: 'float32', shape: ['m'] });
    build.output(build.op('Add', [a, b], {}, { name: 'sum_of_both' }), 'y');
    const session = await runtime.createFromGraph(build.finish());
    const vector = (length: number): RuntimeTensor => ({ dtype: 'float32', shape: [length], data: new Float32Array(length) });
    const error = await failure(session.run({ a: vector(2), b: vector(3) }));
    expect(error.code).toBe('runtime');
    expect(error.message).toContain("'clash' at node 'sum_of_both' (Add)");
    expect(error.message).toContain('Inputs: a float32 [2]; b float32 [3].');
    expect(error.details).toMatchObject({ node: 'sum_of_both', op: 'Add' });
  });

  test('an operator without a kernel is unsupported', async () => {
    const base = doubled();
    const graph: Graph = { ...base, name: 'unknown', nodes: base.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
    const error = await failure(runtime.createFromGraph(graph));
    expect(error.code).toBe('unsupported');
    expect(error.message).toContain('NoSuchOperator');
  });

  test('a damaged file is malformed, a missing one is not found', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-runtime-'));
    try {
      writeFileSync(join(folder, 'bad.onnx'), Buffer.from([10, 255, 255, 255, 255, 15, 1, 2]));
      expect((await failure(runtime.createFromFile(join(folder, 'bad.onnx')))).code).toBe('malformed-file');
      expect((await failure(runtime.createFromFile(join(folder, 'none.onnx')))).code).toBe('not-found');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('outputs written into arrays of the caller', () => {
  const x: RuntimeTensor = { dtype: 'float32', shape: [2], data: Float32Array.of(1.5, -3) };
  const into = (changes: Partial<RuntimeTensor>): RuntimeTensor => ({
    dtype: 'float32',
    shape: [2],
    data: new Float32Array(2),
    ...changes,
  });

  test('hold what the result holds', async () => {
    const session = await runtime.createFromGraph(doubled());
    const target = into({});
    const { y } = await session.run({ x }, undefined, { y: target });
    expect(target.data).toEqual(Float32Array.of(3, -6));
    expect(y).toBe(target);
    await session.release();
  });

  test('that have another name, type or shape are refused', async () => {
    const session = await runtime.createFromGraph(doubled());
    const refused = (target: Readonly<Record<string, RuntimeTensor>>) => failure(session.run({ x }, undefined, target));
    const named = await refused({ z: into({}) });
    expect(named).toMatchObject({ code: 'invalid-argument' });
    expect(named.message).toContain('no output z');
    const typed = await refused({ y: into({ dtype: 'float64', data: new Float64Array(2) }) });
    expect(typed).toMatchObject({ code: 'invalid-argument' });
    expect(typed.message).toContain("'y' of 'doubled' is float32, got float64");
    expect(await refused({ y: into({ shape: [1], data: new Float32Array(1) }) })).toMatchObject({ code: 'runtime' });
    expect(await refused({ y: into({ shape: [3] }) })).toMatchObject({ code: 'invalid-argument' });
    await session.release();
  });
});

test('a session from a file computes the same as one from the graph', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-runtime-'));
  try {
    writeFileSync(join(folder, 'm.onnx'), encodeModel(doubled()));
    const session = await runtime.createFromFile(join(folder, 'm.onnx'), { optimization: 'disabled', disablePrepacking: true });
    expect((await session.run({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(4) } }))['y']?.data).toEqual(Float32Array.of(8));
    await session.release();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('fused 4-bit products are exact unless told otherwise', async () => {
  // DequantizeLinear + MatMul with the weight stored [K, N]: the form that ORT fuses at level `all`.
  const [k, n, block] = [64, 32, 32];
  const codes = Uint8Array.from({ length: (k * n) / 2 }, (_, index) => (index * 37 + 11) & 0xff);
  const scales = Float32Array.from({ length: (k / block) * n }, (_, index) => 0.01 + (index % 7) * 0.003);
  const build = new GraphBuilder(operators, 'qdq');
  const x = build.input('x', { dtype: 'float32', shape: [1, k] });
  const w = build.op(
    'DequantizeLinear',
    [
      build.constant({ kind: 'inline', dtype: 'uint4', shape: [k, n], bytes: codes }, 'w'),
      build.constant({ kind: 'inline', dtype: 'float32', shape: [k / block, n], bytes: new Uint8Array(scales.buffer) }, 's'),
    ],
    { axis: int(0), block_size: int(block) },
  );
  build.output(build.op('MatMul', [x, w]), 'y');
  const graph = build.finish();
  const input = Float32Array.from({ length: k }, (_, index) => Math.sin(index * 1.7));
  const expected = Float64Array.from({ length: n }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < k; row += 1) {
      const index = row * n + column;
      const code = ((codes[index >> 1] as number) >> (index & 1 ? 4 : 0)) & 15;
      sum += (input[row] as number) * code * (scales[Math.floor(row / block) * n + column] as number);
    }
    return sum;
  });
  const error = async (exactMatMulNBits: boolean): Promise<number> => {
    const session = await runtime.createFromGraph(graph, { exactMatMulNBits });
    const { y } = await session.run({ x: { dtype: 'float32', shape: [1, k], data: input } });
    await session.release();
    const worst = Math.max(...expected.map((value, index) => Math.abs(value - Number(y?.data[index]))));
    return worst / Math.max(...expected.map(Math.abs));
  };
  expect(await error(true)).toBeLessThan(2e-6);
  // Activations rounded to int8 lose three digits: if this stops failing the option has lost its meaning.
  expect(await error(false)).toBeGreaterThan(1e-4);
});
