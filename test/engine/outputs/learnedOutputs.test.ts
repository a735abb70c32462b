import { existsSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { dequantizeLearned, learnedBits } from '../../../src/engine/formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../../src/engine/formats/archive/learnedTensor';
import { SeededRandom } from '../../../src/common/random';
import { exportLearned, type ExportedLearned } from '../../../src/engine/compress/learned/exportLearned';
import { openSource, type ModelSource } from '../../../src/engine/models/modelSource';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { decodeToFloat32 } from '../../../src/engine/formats/decode';
import { openContainer } from '../../../src/engine/models/openContainer';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import type { OutputFormat } from '../../../src/protocol/jobs';
import { learnedFrom } from '../../support/randomLearned';
import { compareOnDisk, expectErrorsAgree } from '../../support/expectErrorsAgree';
import { workContext } from '../../support/workContext';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

const asset = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const models = {
  'digits-mlp': asset('media/samples/digits/digits-mlp.onnx'),
  'digits-a': asset('test/fixtures/onnx/digits-a.onnx'),
  'tiny-llama': asset('test/fixtures/models/tiny-llama'),
  'tiny-qwen2': asset('test/fixtures/models/tiny-qwen2'),
  'loom-base': asset('media/samples/loom-base'),
} as const;
type ModelName = keyof typeof models;

const runtime = await openRuntime();
const folder = temporaryFolder();

interface Trained {
  readonly source: ModelSource;
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  readonly rest: ReadonlyMap<string, Float32Array>;
}

/** A model as training could leave it: random widths on the grid of its own weights, biases and norms moved a little. */
async function trained(model: ModelName, widths: readonly number[], groupSize = 8, seed = 1, vectors = false): Promise<Trained> {
  const source = await openSource(models[model]);
  const random = new SeededRandom(seed);
  const learned = new Map<string, LearnedTensor>();
  const rest = new Map<string, Float32Array>();
  for (const [name, { entry, role, transposed = false }] of source.tensors) {
    if (!/^float|^bfloat/.test(entry.dtype)) continue;
    const values = decodeToFloat32(entry.dtype, await source.container.read(name));
    if (vectors && entry.shape.length === 1) {
      learned.set(name, learnedFrom(random, values, { name, shape: entry.shape, groupSize, widths, transposed: false }));
      continue;
    }
    if (entry.shape.length < 2 || role === 'other') {
      rest.set(
        name,
        values.map((value) => Math.fround(value + 0.01 * random.nextNormal())),
      );
      continue;
    }
    const [first, second] = entry.shape as readonly [number, number];
    const shape = transposed ? [second, first] : entry.shape;
    const canonical = transposed
      ? values.map((_, index) => values[(index % first) * second + Math.floor(index / first)] as number)
      : values;
    learned.set(name, learnedFrom(random, canonical, { name, shape, groupSize, widths, transposed }));
  }
  return { source, learned, rest };
}

async function write(
  { source, learned, rest }: Trained,
  format: OutputFormat,
  notes: string[] = [],
): Promise<ExportedLearned & { out: string }> {
  const out = mkdtempSync(join(folder, `${format}-`));
  const result = await exportLearned({
    source,
    learned,
    rest,
    halfRest: true,
    format,
    folder: out,
    context: workContext(runtime, { seed: 3, note: (text) => notes.push(text) }),
  });
  writeFileSync(
    join(out, 'report.json'),
    JSON.stringify({
      kind: 'learn',
      version: '0.1.0',
      primary: result.primary,
      layers: result.layers,
      settings: {},
      source: { path: source.container.path, architecture: source.architecture, files: [] },
      verification: result.verification,
    }),
  );
  return { ...result, out };
}

/** Outputs of an ONNX file on fixed inputs, at one optimisation level. */
async function outputsOf(file: string, optimization: 'disabled' | 'all'): Promise<Float32Array> {
  const container = await openContainer(file);
  const inputs = container.graph!.inputs;
  await container.close();
  const random = new SeededRandom(8);
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, dtype, shape } of inputs) {
    const lengths = shape.map((length, axis) =>
      typeof length === 'number' ? length : name.startsWith('past_') && axis === 2 ? 0 : axis === 0 ? 1 : 4,
    );
    const count = lengths.reduce((product, length) => product * length, 1);
    feeds[name] =
      dtype === 'int64'
        ? {
            dtype: 'int64',
            shape: lengths,
            data: BigInt64Array.from({ length: count }, (_, index) =>
              BigInt(name === 'input_ids' ? 3 + index : name === 'attention_mask' ? 1 : index),
            ),
          }
        : { dtype: 'float32', shape: lengths, data: Float32Array.from({ length: count }, () => random.nextNormal()) };
  }
  const session = await runtime.createFromFile(file, { optimization });
  try {
    const name = session.outputNames[0] as string;
    return (await session.run(feeds))[name]!.data as Float32Array;
  } finally {
    await session.release();
  }
}

const largest = (first: Float32Array, second: Float32Array) =>
  first.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (second[index] as number))),
    first.length === second.length ? 0 : Infinity,
  );

const cases: readonly (readonly [ModelName, readonly number[], number])[] = [
  ['digits-mlp', [2, 3, 4, 8], 8],
  ['digits-mlp', [1, 9, 15], 0],
  ['digits-a', [0, 2, 5, 12], 8],
  ['digits-a', [3], 7],
  ['tiny-llama', [2, 3, 6], 16],
  ['loom-base', [2, 3, 4, 5, 6, 7, 8], 8],
];

describe.each(cases)('%s with widths %j in groups of %d', (model, widths, groupSize) => {
  test('archive and self-unpacking ONNX give the values that were learned', async () => {
    const state = await trained(model, widths, groupSize);
    const { source, learned, rest } = state;
    const archive = await write(state, 'archive');
    const packed = await write(state, 'onnx-packed');
    const dense = await write(state, 'hf');
    for (const { verification } of [archive, packed, dense]) expect(verification).toMatchObject({ passed: true, scope: 'whole' });

    // The archive, opened like any model, holds the learned values bit for bit and the rest as float16.
    const opened = await openContainer(archive.out, { asHuggingFace: true });
    for (const [name, tensor] of learned) {
      const { dtype, shape } = opened.tensors.get(name)!;
      expect(dtype).toBe('float32');
      expect(shape).toEqual(source.tensors.get(name)!.entry.shape);
      const values = decodeToFloat32(dtype, await opened.read(name));
      const expected = dequantizeLearned(tensor);
      const [rows, columns] = tensor.shape as readonly [number, number];
      // Bytes, not toEqual: a million values element by element take seconds.
      const stored = tensor.transposed
        ? expected.map((_, index) => expected[(index % rows) * columns + Math.floor(index / rows)] as number)
        : expected;
      expect(Buffer.from(values.buffer).equals(Buffer.from(stored.buffer)), name).toBe(true);
    }
    for (const [name, values] of rest)
      expect(largest(decodeToFloat32(opened.tensors.get(name)!.dtype, await opened.read(name)), values)).toBeLessThan(4e-3);

    // As `compare` reads them: the packed file by the layouts in its report, the archive by its own table.
    const compared = await compareOnDisk(archive.out, packed.out);
    const status = new Map(compared.tensors.map((tensor) => [tensor.name, tensor.status]));
    for (const name of learned.keys()) expect(status.get(name), name).toBe('equal');

    // Outputs: the self-unpacking file in the plain runtime, against the dequantised model.
    const file = join(packed.out, packed.primary);
    if (source.container.format === 'onnx') {
      const expected = await outputsOf(opened.path, 'disabled');
      const bound =
        1e-5 *
        Math.max(
          1,
          expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
        );
      expect(largest(await outputsOf(join(dense.out, dense.primary), 'all'), expected)).toBeLessThan(bound);
      for (const level of ['disabled', 'all'] as const) expect(largest(await outputsOf(file, level), expected)).toBeLessThan(bound);
    } else expect(largest(await outputsOf(file, 'disabled'), await outputsOf(file, 'all'))).toBeLessThan(1e-3);
    await opened.close();
    await source.container.close();

    // Bytes are the published formula, a header and a little rounding.
    const bits = [...learned.values()].reduce((sum, tensor) => sum + learnedBits(tensor), 0);
    const stored = archive.layers.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0);
    const classes = [...learned.values()].reduce((sum, tensor) => sum + 1 + new Set(tensor.bits).size, 0);
    expect(stored).toBeGreaterThanOrEqual(bits / 8);
    expect(stored - bits / 8).toBeLessThanOrEqual(8 * classes);
    for (const layer of [...archive.layers, ...packed.layers]) {
      expect(layer.relativeError).toBe(0);
      expect(layer.histogram!.weights.reduce((sum, count) => sum + count, 0)).toBe(layer.weights);
    }
    expect(packed.loadedBytes).toBeGreaterThan(0);
  }, 120_000);
});

describe('fast kernels', () => {
  test.each(['digits-mlp', 'digits-a', 'tiny-qwen2'] as const)('%s is rounded again, and the report states from what', async (model) => {
    const state = await trained(model, [2, 3, 8], 8);
    const notes: string[] = [];
    const fast = await write(state, 'onnx-fast', notes);
    expect(fast.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(fast.layers.every(({ bits }) => [2, 4, 8].includes(bits))).toBe(true);
    expect(fast.layers.some(({ relativeError }) => relativeError > 0)).toBe(true);
    // The report's difference to what was learned, by the independent path of `compare`.
    const archive = await write(state, 'archive');
    await expectErrorsAgree(archive.out, fast.out, fast.layers);
    await state.source.container.close();
    for (const { name } of fast.layers) expect(notes.some((text) => text.includes(`'${name}'`) && /bits learned/.test(text))).toBe(true);
  });
});

describe('standard operators', () => {
  test.each([
    ['digits-mlp', 4],
    ['digits-a', 7],
    ['digits-mlp', 11],
    ['tiny-llama', 5],
  ] as const)('%s with %d bits everywhere', async (model, bits) => {
    const state = await trained(model, [bits], 8);
    const plain = await write(state, 'onnx');
    await state.source.container.close();
    expect(plain.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(plain.layers.every((layer) => layer.bits === bits && layer.relativeError === 0)).toBe(true);
  });

  test('several widths in one tensor are refused, naming the formats that support them', async () => {
    const state = await trained('digits-mlp', [2, 4], 8);
    await expect(write(state, 'onnx')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/onnx-packed, archive or hf/) as string,
    });
    await state.source.container.close();
  });
});

test.each(['onnx', 'onnx-fast', 'onnx-packed'] as const)('norms and biases with learned widths are stored in %s', async (format) => {
  const state = await trained('tiny-qwen2', [6], 8, 1, true);
  const vectors = [...state.learned.values()].filter(({ shape }) => shape.length === 1).map(({ name }) => name);
  expect(vectors.some((name) => name.endsWith('bias')) && vectors.some((name) => name.endsWith('norm.weight'))).toBe(true);
  const notes: string[] = [];
  const { verification } = await write(state, format, notes);
  await state.source.container.close();
  expect(verification).toMatchObject({ passed: true, scope: 'whole' });
  expect(notes.some((text) => /stored as float/.test(text))).toBe(format === 'onnx-fast');
});

test('an archive is evaluated like the model that it represents', async () => {
  const state = await trained('digits-mlp', [6, 8], 8);
  const archive = await write(state, 'archive');
  const packed = await write(state, 'onnx-packed');
  await state.source.container.close();
  const data = asset('media/samples/digits/data');
  const measure = (model: string) => evaluateModel({ kind: 'evaluate', model, data, split: 'test' }, workContext(runtime));
  const [first, second] = [await measure(archive.out), await measure(packed.out)];
  expect(first.value).toBeGreaterThan(0.5);
  expect(first.value).toBe(second.value);
  expect(Math.abs(first.loss - second.loss)).toBeLessThan(1e-5);
  expect(existsSync(join(archive.out, 'graph.onnx'))).toBe(true);
  expect(statSync(join(archive.out, 'graph.onnx')).size).toBeLessThan(5000);
});

test('values beyond float16 and unknown tensor names are refused', async () => {
  const state = await trained('digits-mlp', [4], 8);
  const [name, values] = [...state.rest][0] as [string, Float32Array];
  await expect(write({ ...state, rest: new Map([[name, values.map(() => 1e5)]]) }, 'archive')).rejects.toThrow(/largest float16 is 65504/);
  await expect(write({ ...state, rest: new Map([['nothing', values]]) }, 'hf')).rejects.toThrow(/'nothing'.*no such tensor/);
  await state.source.container.close();
});
