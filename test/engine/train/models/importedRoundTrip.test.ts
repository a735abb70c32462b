import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dequantizeLearned } from '../../../../src/engine/formats/archive/dequantizeLearned';
import { SeededRandom } from '../../../../src/common/random';
import { exportLearned } from '../../../../src/engine/compress/learned/exportLearned';
import { trainedTensors } from '../../../../src/engine/compress/learned/trainedTensors';
import { openJobData } from '../../../../src/engine/evaluate/data/jobData';
import { openSource } from '../../../../src/engine/models/modelSource';
import { decodeToFloat32 } from '../../../../src/engine/formats/decode';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { GraphBuilder, int, ints } from '../../../../src/engine/graph/builder';
import type { Value } from '../../../../src/engine/graph/graph';
import { operators } from '../../../../src/engine/ops';
import type { HostState } from '../../../../src/engine/train/contract';
import { floatTraining } from '../../../../src/engine/train/methods/float';
import { qat } from '../../../../src/engine/train/methods/qat';
import { openTrainable } from '../../../../src/engine/train/models/openTrainable';
import { transposeMatrix } from '../../../../src/engine/kernels/host/transposeMatrix';
import type { OutputFormat } from '../../../../src/protocol/jobs';
import { encodeNpy } from '../../../support/encodeNpy';
import { feedTensor, runModel } from '../../../support/runGraph';
import { digitsSpec, fixture, planFor, trainWith } from '../../../support/trainDigits';
import { workContext } from '../../../support/workContext';
import { openRuntime, temporaryFolder } from '../../../support/fixtures';

const runtime = await openRuntime();
const folder = temporaryFolder();

const random = new SeededRandom(11);
const normals = (count: number): Float32Array => Float32Array.from({ length: count }, () => 0.5 * random.nextNormal());

/** Adds a weight; `values` are in stored order. */
function weight(build: GraphBuilder, name: string, shape: readonly number[], values: Float32Array): Value {
  return build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, name);
}

function save(name: string, make: (build: GraphBuilder) => Value): string {
  const build = new GraphBuilder(operators, name);
  build.output(make(build), 'logits');
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, encodeModel(build.finish()));
  return path;
}

/** Whole numbers below `limits`, by input, and labels below `classes`: 40 samples of the split `train`. */
function writeData(inputs: Readonly<Record<string, { readonly width: number; readonly limit: number }>>, classes: number): string {
  const data = mkdtempSync(join(folder, 'data-'));
  const whole = (count: number, limit: number): Uint8Array =>
    new Uint8Array(BigInt64Array.from({ length: count }, () => BigInt(random.nextBelow(limit))).buffer);
  for (const [name, { width, limit }] of Object.entries(inputs))
    writeFileSync(join(data, `train-${name}.npy`), encodeNpy('int64', [40, width], whole(40 * width, limit)));
  writeFileSync(join(data, 'train-label.npy'), encodeNpy('int64', [40], whole(40, classes)));
  return data;
}

describe('a matrix that the file contains twice', () => {
  const [words, width] = [12, 8];
  const embedding = normals(words * width);
  const turned = transposeMatrix(embedding, words, width);
  /** Embedding, its mean over the tokens, a layer, and the head: the embedding again, transposed or as it is. */
  const tied = (transposed: boolean): string =>
    save(transposed ? 'tied-turned' : 'tied', (build) => {
      const ids = build.input('ids', { dtype: 'int64', shape: ['batch', 5] });
      const looked = build.op('Gather', [weight(build, 'embedding', [words, width], embedding), ids]);
      const mean = build.op('ReduceMean', [looked, build.int64([1])], { keepdims: int(0) });
      const hidden = build.op('Tanh', [build.op('MatMul', [mean, weight(build, 'layer', [width, width], normals(width * width))])]);
      return transposed
        ? build.op('MatMul', [hidden, weight(build, 'head', [width, words], turned)])
        : build.op('Gemm', [hidden, weight(build, 'head', [words, width], embedding)], { transB: int(1) });
    });

  test.each([true, false])('is one parameter (transposed: %s)', async (transposed) => {
    const model = await openTrainable(tied(transposed));
    expect(model.parameters.map(({ name, role, tiedTo, held }) => [name, role, tiedTo, held])).toEqual([
      ['embedding', 'embedding', ['head'], 'canonical'],
      ['layer', 'linear', [], 'transposed'],
    ]);
    expect(model.parameters[0]?.transposedCopies).toEqual(transposed ? ['head'] : []);
  });

  const formats: readonly OutputFormat[] = ['hf', 'archive', 'onnx-packed'];
  const rows = [true, false].flatMap((transposed) =>
    [qat, floatTraining].flatMap((method) => formats.map((format) => ({ transposed, method, format, id: method.id }))),
  );
  test.each(rows)('is written under both names: $format, $id, transposed: $transposed', async ({ transposed, method, format }) => {
    const path = tied(transposed);
    const spec = digitsSpec({
      model: path,
      data: writeData({ ids: { width: 5, limit: words } }, words),
      steps: 3,
      batch: 8,
      start: 'trained',
      rate: 0.05,
    });
    const { state } = await trainWith(spec, runtime, { weightMethod: method });
    const model = await openTrainable(path);
    const realized = (await planFor(method, model, spec.steps)).realize(state as HostState);
    const source = await openSource(path);
    const out = join(folder, `out-${method.id}-${format}-${transposed}`);
    mkdirSync(out);
    try {
      const trained = trainedTensors(model, state as HostState, realized, (name) => source.tensors.has(name));
      const { primary, verification } = await exportLearned({
        source,
        ...trained,
        halfRest: false,
        format,
        folder: out,
        context: workContext(runtime, { seed: 1 }),
      });
      expect(verification.passed).toBe(true);
      const own = realized.find(({ name }) => name === 'embedding');
      const expected = own ? dequantizeLearned(own) : state.parameter('embedding');
      expect(expected).not.toEqual(embedding);
      writeFileSync(join(out, 'report.json'), JSON.stringify({ kind: 'learn', version: '0.0.0', primary, layers: [] }));
      if (format !== 'onnx-packed') {
        const written = await openContainer(join(out, primary));
        const read = async (name: string) => decodeToFloat32(written.tensors.get(name)?.dtype ?? 'float32', await written.read(name));
        expect(await read('embedding')).toEqual(expected);
        expect(await read('head')).toEqual(transposed ? transposeMatrix(expected, words, width) : expected);
        await written.close();
      }
      if (format === 'archive') return;
      // The layer is a copy of nothing: outputs computed by hand from what was learned.
      const ids = [3, 1, 4, 1, 5];
      const learnedLayer = realized.find(({ name }) => name === 'layer');
      const held = state.parameter('layer');
      const layer = learnedLayer ? transposeMatrix(dequantizeLearned(learnedLayer), width, width) : held;
      const mean = Array.from({ length: width }, (_, at) => ids.reduce((sum, id) => sum + (expected[id * width + at] as number) / 5, 0));
      const hidden = mean.map((_, to) =>
        Math.tanh(mean.reduce((sum, value, from) => sum + value * (layer[from * width + to] as number), 0)),
      );
      const logits = Array.from({ length: words }, (_, word) =>
        hidden.reduce((sum, value, at) => sum + value * (expected[word * width + at] as number), 0),
      );
      const got = await runModel(join(out, primary), { ids: feedTensor('int64', [1, 5], ids) });
      logits.forEach((value, word) => expect(Number(got['logits']?.data[word])).toBeCloseTo(value, 4));
    } finally {
      await source.container.close();
    }
  });
});

describe('matrices of products', () => {
  const matrix = normals(48);
  const rows = [
    { name: 'MatMul', stored: [6, 8], turned: false, transB: 0 },
    { name: 'Gemm', stored: [6, 8], turned: false, transB: 0 },
    { name: 'Gemm', stored: [8, 6], turned: false, transB: 1 },
    { name: 'MatMul', stored: [8, 6], turned: true, transB: 0 },
    { name: 'Gemm', stored: [6, 8], turned: true, transB: 1 },
  ] as const;
  test.each(rows)('$name of a stored $stored, Transpose between: $turned, transB: $transB', async ({ name, stored, turned, transB }) => {
    const path = save(`product-${name}-${stored.join('-')}-${turned}-${transB}`, (build) => {
      const x = build.input('x', { dtype: 'float32', shape: ['batch', 6] });
      const value = weight(build, 'matrix', stored, matrix);
      const side = turned ? build.op('Transpose', [value], { perm: ints([1, 0]) }) : value;
      return build.op(name, [x, side], name === 'Gemm' ? { transB: int(transB) } : {});
    });
    const model = await openTrainable(path);
    const [parameter] = model.parameters;
    expect([parameter?.held, parameter?.shape, parameter?.heldShape]).toEqual(['transposed', [8, 6], [6, 8]]);
    expect(parameter?.storedTransposed).toBe(stored[0] === 6);
    const build = new GraphBuilder(operators, 'forward');
    const x = build.input('x', { dtype: 'float32', shape: [3, 6] });
    const held = weight(build, 'held', [6, 8], (await parameter?.initial()) as Float32Array);
    build.output(model.forward(build, { x }, () => held, true).outputs['logits'] as Value, 'logits');
    const feeds = { x: feedTensor('float32', [3, 6], [...normals(18)]) };
    const graph = build.finish();
    expect(graph.nodes.filter(({ op }) => op === 'Transpose')).toEqual([]);
    expect((await runModel(encodeModel(graph), feeds))['logits']?.data).toEqual((await runModel(path, feeds))['logits']?.data);
  });

  test('weights inside a body are named and left unchanged', async () => {
    const path = save('looped', (build) => {
      const x = build.input('x', { dtype: 'float32', shape: ['batch', 8] });
      const inside = weight(build, 'inside', [8], normals(8));
      const body = build.subgraph('body');
      body.input('i', { dtype: 'int64', shape: [] });
      const go = body.input('go', { dtype: 'bool', shape: [] });
      const carried = body.input('carried', { dtype: 'float32', shape: ['batch', 8] });
      body.output(body.op('Identity', [go]));
      body.output(body.op('Mul', [carried, inside]));
      const [looped] = build.node('Loop', [build.int64(3, []), undefined, x], { body: { kind: 'graph', value: body.finish() } });
      return build.op('MatMul', [looped, weight(build, 'after', [8, 8], normals(64))]);
    });
    const model = await openTrainable(path);
    expect(model.parameters.map(({ name }) => name)).toEqual(['after']);
    expect(model.notes).toEqual(["Tensors used inside a Loop or If, which stay unchanged: 'inside'."]);
  });
});

describe('symbolic lengths of the graph', () => {
  const rows = ['encoder-dynamo', 'encoder-script'];
  test.each(rows)('%s takes them from the arrays of the data', async (name) => {
    const model = fixture(`onnx/${name}.onnx`);
    const data = writeData({ input_ids: { width: 7, limit: 40 }, attention_mask: { width: 7, limit: 2 } }, 16);
    const opened = await openTrainable(model, { arrays: { data: openJobData({ data }) } });
    expect(opened.inputs(3).map((input) => [input.name, input.shape])).toEqual([
      ['input_ids', [3, 7]],
      ['attention_mask', [3, 7]],
    ]);
    const { curve } = await trainWith(digitsSpec({ model, data, steps: 12, batch: 12, start: 'trained', rate: 3e-3 }), runtime);
    const mean = (from: number) => curve.slice(from, from + 3).reduce((sum, { loss }) => sum + loss / 3, 0);
    expect(mean(9)).toBeLessThan(mean(0));
  });

  test('without data, or with data that does not match, the refusal states what is needed', async () => {
    const model = fixture('onnx/encoder-dynamo.onnx');
    await expect(openTrainable(model)).rejects.toThrow(
      /all other lengths fixed, by the graph or by arrays of the data, but 'input_ids'.*\[/,
    );
    const shapes = new Map([['input_ids', [40, 7, 2]]]);
    await expect(openTrainable(model, { arrays: { shapes } })).rejects.toThrow(/'input_ids'.*its data \[40, 7, 2\]/);
  });
});

describe('rounding inside a graph', () => {
  const rounded = (build: GraphBuilder, value: Value): Value => {
    const [scale, zero] = [
      build.float32(0.05),
      build.constant({ kind: 'inline', dtype: 'int8', shape: [], bytes: new Uint8Array(1) }, 'zero'),
    ];
    return build.op('DequantizeLinear', [build.op('QuantizeLinear', [value, scale, zero]), scale, zero]);
  };
  const product = (build: GraphBuilder, x: Value, name: string): Value =>
    build.op('MatMul', [x, weight(build, name, [8, 8], normals(64))], {}, { name: `${name}/MatMul` });

  test('weights before it are named and left unchanged', async () => {
    const path = save('rounded', (build) => {
      const x = build.input('x', { dtype: 'float32', shape: ['batch', 8] });
      return product(build, rounded(build, product(build, x, 'first')), 'second');
    });
    const model = await openTrainable(path);
    expect(model.parameters.map(({ name, used }) => [name, used])).toEqual([
      ['first', false],
      ['second', true],
    ]);
    expect(model.notes).toHaveLength(2);
    expect(model.notes[0]).toMatch(/No gradient passes through '.*' \(QuantizeLinear\), which rounds values/);
    expect(model.notes[1]).toMatch(/Tensors without a gradient, which stay unchanged: 'first'\.$/);
  });

  test('training is refused if nothing would be learned', async () => {
    const path = save('all-rounded', (build) => {
      const x = build.input('x', { dtype: 'float32', shape: ['batch', 8] });
      const matrix = weight(build, 'matrix', [8, 8], normals(64));
      return build.op('MatMul', [x, rounded(build, matrix)]);
    });
    await expect(openTrainable(path)).rejects.toThrow(/No gradient reaches any weight.*QuantizeLinear.*float model/);
  });

  test.each(['tabular-dynamo', 'tabular-script', 'vision-script', 'din-a'])('%s has no notes', async (name) => {
    expect((await openTrainable(fixture(`onnx/${name}.onnx`))).notes).toEqual([]);
  });
});
