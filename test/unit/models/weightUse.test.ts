import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gradientReach } from '../../../src/engine/autodiff/gradientReach';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { readGraph } from '../../../src/engine/formats/onnx/readGraph';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { findOnnxWeights } from '../../../src/engine/models/compressibleWeights';
import { weightUse, type TensorPlace } from '../../../src/engine/models/weightUse';
import { operators } from '../../../src/engine/ops/index';
import { findParameters } from '../../../src/engine/train/models/onnxParameters';

const fixtures = fileURLToPath(new URL('../../fixtures/onnx/', import.meta.url));
const sample = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));
/** Training refuses sparse initialisers, so there is nothing to compare. */
const refused = 'nested.onnx';
const files = [
  sample,
  ...readdirSync(fixtures)
    .filter((name) => name.endsWith('.onnx') && name !== refused)
    .map((name) => join(fixtures, name)),
];

/** What compression and training say of the weights that both know, by name. */
async function both(path: string): Promise<ReadonlyMap<string, { readonly compressed: unknown; readonly trained: unknown }>> {
  const { uses: compressible } = await findOnnxWeights(path);
  const graph = await readGraph(path, { operators, externalFrom: Infinity });
  const { parameters } = findParameters(graph, gradientReach(graph, operators));
  return new Map(
    parameters.flatMap(({ value, role, matrixValues, storedTransposed }) => {
      const use = compressible.get(value.name);
      if (!use) return [];
      const matrix = role === 'linear' ? matrixValues.length > 0 : matrixValues.length === 0;
      return [[value.name, { compressed: use, trained: { role, transposed: storedTransposed, ...(matrix ? {} : { matrix }) } }] as const];
    }),
  );
}

describe('compression and training agree on roles and orientation', () => {
  test.each(files.map((path) => [path.slice(path.lastIndexOf('/') + 1), path]))('%s', async (_name, path) => {
    for (const [name, { compressed, trained }] of await both(path)) expect(trained, name).toEqual(compressed);
  });

  test('the one excluded fixture is refused by training', async () => {
    await expect(both(join(fixtures, refused))).rejects.toThrow(/sparse initialisers are not supported/);
  });

  test('the fixtures have linear weights of both orientations and convolutions', async () => {
    const seen = new Set<string>();
    for (const path of files) for (const { compressed } of (await both(path)).values()) seen.add(JSON.stringify(compressed));
    expect([...seen].sort()).toEqual([
      '{"role":"convolution","transposed":false}',
      '{"role":"embedding","transposed":false}',
      '{"role":"linear","transposed":false}',
      '{"role":"linear","transposed":true}',
    ]);
  });
});

describe('weights with other uses than one product', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'loomweight-use-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('a matrix that is used in both orientations, and one behind a Transpose, are seen by their rows, as in training', async () => {
    const build = new GraphBuilder(operators, 'net', 17);
    const matrix = (name: string): Value => {
      const values = Float32Array.from({ length: 64 }, (_, index) => Math.sin(index + name.length));
      return build.constant({ kind: 'inline', dtype: 'float32', shape: [8, 8], bytes: new Uint8Array(values.buffer) }, name);
    };
    let value = build.input('x', { dtype: 'float32', shape: ['batch', 8] });
    const shared = matrix('shared');
    value = build.op('MatMul', [value, shared]);
    value = build.op('Gemm', [value, shared], { transB: int(1) });
    value = build.op('MatMul', [value, build.op('Transpose', [matrix('turned')])]);
    value = build.op('MatMul', [value, matrix('plain')]);
    build.output(value, 'y');
    const path = join(folder, 'net.onnx');
    writeFileSync(path, encodeModel(build.finish()));
    expect([...(await findOnnxWeights(path)).uses]).toEqual([
      ['shared', { role: 'linear', transposed: false }],
      ['turned', { role: 'linear', transposed: false }],
      ['plain', { role: 'linear', transposed: true }],
    ]);
    const graph = await readGraph(path, { operators, externalFrom: Infinity });
    const { parameters } = findParameters(graph, gradientReach(graph, operators));
    const shown = parameters.map(({ value: { name }, role, matrixValues, storedTransposed }) => [
      name,
      role,
      matrixValues.length,
      storedTransposed,
    ]);
    expect(shown).toEqual([
      ['shared', 'linear', 0, false],
      ['turned', 'linear', 1, false],
      ['plain', 'linear', 1, true],
    ]);
  });
});

describe('the rule', () => {
  const use = (op: string, input: number, shape: readonly number[], more: Partial<TensorPlace> & { readonly transB?: number } = {}) =>
    weightUse({
      op,
      domain: '',
      input,
      shape,
      int: (name, fallback) => (name === 'transB' ? (more.transB ?? fallback) : fallback),
      ...more,
    });

  test.each([
    ['MatMul', 1, [4, 8], {}, 'linear', 'in-out'],
    ['MatMul', 1, [2, 4, 8], {}, 'linear', undefined],
    ['MatMul', 0, [4, 8], {}, 'linear', undefined],
    ['MatMul', 1, [4, 8], { domain: 'ai.onnx' }, 'linear', 'in-out'],
    ['MatMul', 1, [4, 8], { domain: 'com.microsoft' }, 'linear', undefined],
    ['Gemm', 1, [4, 8], {}, 'linear', 'in-out'],
    ['Gemm', 1, [4, 8], { transB: 1 }, 'linear', 'out-in'],
    ['Gemm', 2, [8], {}, 'bias', undefined],
    ['Conv', 1, [8, 4, 3], {}, 'convolution', 'out-in'],
    ['Conv', 1, [8, 4, 3, 3], {}, 'convolution', 'out-in'],
    ['ConvTranspose', 1, [8, 4, 3, 3], {}, 'convolution', undefined],
    ['Gather', 0, [100, 8], {}, 'embedding', undefined],
    ['Add', 1, [8], {}, 'bias', undefined],
    ['Mul', 0, [1, 8], {}, 'norm', undefined],
  ] as const)('%s, input %i, %j %j: %s, %s', (op, input, shape, more, role, orientation) => {
    expect(use(op, input, shape, more)).toEqual({ role, orientation });
  });

  test('does not apply to matrices in Add, to other inputs, operators and domains', () => {
    expect(use('Add', 1, [8, 8])).toBeUndefined();
    expect(use('Conv', 3, [8])).toBeUndefined();
    expect(use('Relu', 0, [8])).toBeUndefined();
    expect(use('MatMul', 1, [4, 8], { domain: 'example.org' })).toBeUndefined();
  });
});
