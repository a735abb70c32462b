import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { encodeFromFloat32 } from '../../../src/engine/formats/decode';
import { editModel } from '../../../src/engine/formats/onnx/editModel';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops';
import { dequantizedCopy } from '../../../src/engine/models/dequantizedCopy';
import { findPackedProducts } from '../../../src/engine/models/packedProducts';
import type { Runtime } from '../../../src/engine/runtime/types';
import { packedSample, type PackedSample, type ZeroKind } from '../../support/packedMatrix';
import { test } from '../../support/fixtures';

const everything = () => true;

interface NodeOptions {
  readonly level?: number;
  /** Scales stored in this type, with a Cast before the node. */
  readonly scaleDType?: 'float16' | 'bfloat16';
  readonly bias?: Value;
  readonly name?: string;
}

/** Stores a matrix and multiplies with it, as other tools do: names of their own, flat scales. */
function packedProduct(
  build: GraphBuilder,
  x: Value,
  stored: Record<string, Value | undefined>,
  sample: PackedSample,
  options: NodeOptions,
) {
  const { columns, rows, bits, block } = sample;
  const attributes = {
    K: int(columns),
    N: int(rows),
    bits: int(bits),
    block_size: int(block),
    ...(options.level === undefined ? {} : { accuracy_level: int(options.level) }),
  };
  const inputs = [x, stored['codes'], stored['scales'], stored['zeros'], undefined, options.bias];
  return build.op('MatMulNBits', options.bias ? inputs : inputs.slice(0, 4), attributes, { domain: 'com.microsoft' });
}

function storedIn(build: GraphBuilder, sample: PackedSample, options: NodeOptions): Record<string, Value | undefined> {
  const { columns, rows, bits, block, codes, scales, zeros } = sample;
  const blocks = Math.ceil(columns / block);
  const name = options.name ?? 'w';
  const inline = (dtype: 'uint8' | 'float32' | 'float16' | 'bfloat16', shape: readonly number[], bytes: Uint8Array, suffix: string) =>
    build.constant({ kind: 'inline', dtype, shape, bytes }, `${name}${suffix}`);
  const bytesOf = ({ buffer }: Float32Array) => new Uint8Array(buffer);
  const scaleDType = options.scaleDType ?? 'float32';
  const scaleBytes = scaleDType === 'float32' ? bytesOf(scales) : encodeFromFloat32(scaleDType, scales);
  const scale = inline(scaleDType, [scales.length], scaleBytes, '_scales');
  return {
    codes: inline('uint8', [rows, blocks, (block * bits) / 8], codes, '_Q'),
    scales: scaleDType === 'float32' ? scale : build.op('Cast', [scale], { to: int(1) }),
    zeros:
      zeros instanceof Float32Array
        ? inline('float32', [rows, blocks], bytesOf(zeros), '_zp')
        : zeros && inline('uint8', [zeros.length], zeros, '_zp'),
  };
}

const random = new SeededRandom(7);
const floats = (length: number) => Float32Array.from({ length }, () => random.nextNormal());

/** x [samples, columns] times the sample's values, transposed, in float64. */
function reference(x: Float32Array, { values, columns }: PackedSample, bias?: Float32Array): number[] {
  return Array.from({ length: x.length / columns }, (_, sample) =>
    values.map((row, index) =>
      row.reduce((sum, weight, column) => sum + weight * x[sample * columns + column]!, bias === undefined ? 0 : bias[index]!),
    ),
  ).flat();
}

/** Largest difference relative to the largest value. */
function relative(values: ArrayLike<number | bigint>, expected: readonly number[]): number {
  expect(values.length).toBe(expected.length);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.reduce((most, value, index) => Math.max(most, Math.abs(Number(values[index]) - value)), 0) / largest;
}

async function outputOf(runtime: Runtime, path: string, feeds: Parameters<Awaited<ReturnType<Runtime['createFromFile']>>['run']>[0]) {
  const session = await runtime.createFromFile(path);
  try {
    return (await session.run(feeds))['y']!;
  } finally {
    await session.release();
  }
}

/** Runs a model as it is and through a copy; the file itself is not touched. */
async function bothOutputs(runtime: Runtime, path: string, x: Float32Array, shape: readonly number[]) {
  const before = readFileSync(path);
  const feeds = { x: { dtype: 'float32' as const, shape, data: x } };
  const packed = await outputOf(runtime, path, feeds);
  const copy = await dequantizedCopy(path, everything);
  const dequantized = await outputOf(runtime, copy.path, { ...feeds, ...copy.feeds });
  const editor = await editModel(copy.path);
  const left = editor.graph.node.map(({ opType }) => opType);
  const weights = [...editor.weights().keys()];
  await editor.close();
  await copy.remove();
  expect(existsSync(dirname(copy.path))).toBe(false);
  expect(readFileSync(path).equals(before)).toBe(true);
  return { packed, dequantized, left, weights, fed: Object.keys(copy.feeds).length };
}

const foreign: readonly (Pick<PackedSample, 'rows' | 'columns' | 'block' | 'bits'> & {
  readonly what: string;
  readonly zeros: ZeroKind;
  readonly level?: number;
  readonly scaleDType?: 'float16' | 'bfloat16';
  readonly bias?: boolean;
})[] = [
  { what: 'a row that ends within a block', rows: 24, columns: 100, block: 32, bits: 4, zeros: 'packed' },
  { what: 'an odd number of blocks with packed 4-bit zero points', rows: 10, columns: 160, block: 32, bits: 4, zeros: 'packed', level: 1 },
  { what: 'five blocks of 2 bits with packed zero points', rows: 10, columns: 80, block: 16, bits: 2, zeros: 'packed', level: 0 },
  { what: 'no zero points', rows: 16, columns: 64, block: 16, bits: 8, zeros: 'absent', level: 1 },
  { what: 'float zero points', rows: 16, columns: 96, block: 32, bits: 4, zeros: 'float' },
  { what: 'float16 scales behind a Cast', rows: 16, columns: 96, block: 32, bits: 2, zeros: 'packed', level: 1, scaleDType: 'float16' },
  { what: 'bfloat16 scales behind a Cast', rows: 16, columns: 96, block: 32, bits: 4, zeros: 'absent', level: 1, scaleDType: 'bfloat16' },
  { what: 'a bias', rows: 16, columns: 96, block: 32, bits: 8, zeros: 'packed', level: 1, bias: true },
  { what: 'int8 activations at 2 bits', rows: 32, columns: 256, block: 32, bits: 2, zeros: 'packed', level: 4 },
  { what: 'int8 activations at 8 bits', rows: 32, columns: 256, block: 64, bits: 8, zeros: 'absent', level: 4 },
];

describe('models of other tools give the same through dequantised weights', () => {
  test.for(foreign)('$what', async ({ what: _what, zeros, bias, ...rest }, { runtime, folder }) => {
    const sample = packedSample(rest, zeros);
    const { columns, rows } = sample;
    const build = new GraphBuilder(operators, 'foreign');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 'time', columns] });
    const biases = bias ? floats(rows) : undefined;
    const options = { ...rest, ...(biases && { bias: build.float32([...biases]) }) };
    build.output(packedProduct(build, x, storedIn(build, sample, options), sample, options), 'y');
    const path = join(folder, 'model.onnx');
    await writeOnnxModel(build.finish(), path);

    const data = floats(6 * columns);
    const { packed, dequantized, left, fed } = await bothOutputs(runtime, path, data, [2, 3, columns]);
    const expected = reference(data, sample, biases);
    expect(left).not.toContain('MatMulNBits');
    expect(fed).toBe(1);
    expect(dequantized.shape).toEqual([2, 3, rows]);
    expect(relative(dequantized.data, expected)).toBeLessThan(1e-6);
    // The file's own way: exact, or within the rounding of activations to int8.
    expect(relative(packed.data, expected)).toBeLessThan(rest.level === 4 ? 2e-2 : 1e-5);
  });

  test('weights in external data, shared by two nodes of different accuracy levels, are fed once', async ({ runtime, folder }) => {
    const sample = packedSample({ rows: 128, columns: 128, block: 32, bits: 8 }, 'packed');
    const build = new GraphBuilder(operators, 'tied');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 128] });
    const stored = storedIn(build, sample, {});
    const first = packedProduct(build, x, stored, sample, { level: 1 });
    build.output(packedProduct(build, first, stored, sample, { level: 0 }), 'y');
    const path = join(folder, 'model.onnx');
    await writeOnnxModel(build.finish(), path, { externalData: 'always' });
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.onnx_data']);

    const data = floats(3 * 128);
    const { dequantized, weights, fed } = await bothOutputs(runtime, path, data, [3, 128]);
    expect(fed).toBe(1);
    expect(weights).toEqual([]);
    const middle = reference(data, sample);
    expect(relative(dequantized.data, reference(Float32Array.from(middle), sample))).toBeLessThan(1e-5);
  });

  test('a node in a branch keeps its packed weights, also those that a replaced node had', async ({ runtime, folder }) => {
    const sample = packedSample({ rows: 32, columns: 32, block: 16, bits: 4 }, 'absent');
    const build = new GraphBuilder(operators, 'branches');
    const x = build.input('x', { dtype: 'float32', shape: ['batch', 32] });
    const stored = storedIn(build, sample, {});
    const outer = packedProduct(build, x, stored, sample, { level: 1 });
    const condition = build.op('Greater', [build.op('ReduceSum', [x], { keepdims: int(0) }), build.float32(-1e9)]);
    const yes = build.subgraph('yes');
    yes.output(packedProduct(yes, outer, stored, sample, { level: 1 }));
    const no = build.subgraph('no');
    no.output(no.op('Neg', [outer]));
    const branches = { then_branch: { kind: 'graph', value: yes.finish() }, else_branch: { kind: 'graph', value: no.finish() } } as const;
    build.output(build.op('If', [condition], branches), 'y');
    const path = join(folder, 'model.onnx');
    await writeOnnxModel(build.finish(), path);
    expect(await findPackedProducts(path)).toHaveLength(1);

    const data = floats(4 * 32);
    const { packed, dequantized, weights } = await bothOutputs(runtime, path, data, [4, 32]);
    expect(weights).toContain('w_Q');
    expect(relative(dequantized.data, Array.from(packed.data, Number))).toBeLessThan(1e-5);
  });
});

test('products that only the runtime can compute are left alone: permuted groups, float16 activations, weights that are inputs', async ({
  folder,
}) => {
  const sample = packedSample({ rows: 16, columns: 64, block: 32, bits: 4 }, 'absent');
  const attributes = { K: int(64), N: int(16), bits: int(4), block_size: int(32) };
  const build = new GraphBuilder(operators, 'left');
  const x = build.input('x', { dtype: 'float32', shape: ['batch', 64] });
  const { codes, scales } = storedIn(build, sample, {});
  const groups = build.constant({ kind: 'inline', dtype: 'int32', shape: [64], bytes: new Uint8Array(256) });
  build.output(build.op('MatMulNBits', [x, codes, scales, undefined, groups], attributes, { domain: 'com.microsoft' }), 'permuted');
  const half = build.op('Cast', [x], { to: int(10) });
  const halfScales = build.constant({ kind: 'inline', dtype: 'float16', shape: [32], bytes: encodeFromFloat32('float16', sample.scales) });
  build.output(build.op('MatMulNBits', [half, codes, halfScales], attributes, { domain: 'com.microsoft' }), 'half');
  const given = build.input('given', { dtype: 'uint8', shape: [16, 2, 16] });
  build.output(build.op('MatMulNBits', [x, given, scales], attributes, { domain: 'com.microsoft' }), 'given_weights');
  const path = join(folder, 'model.onnx');
  await writeOnnxModel(build.finish(), path);
  expect(await findPackedProducts(path)).toEqual([]);
});

test('a file that cannot be read leaves no folder behind', async ({ folder }) => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('loomweight-dequantized-'));
  await expect(dequantizedCopy(join(folder, 'missing.onnx'), everything)).rejects.toMatchObject({ code: 'not-found' });
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith('loomweight-dequantized-'));
  expect(after.filter((name) => !before.includes(name))).toEqual([]);
});
