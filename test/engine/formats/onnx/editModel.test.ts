import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type * as ort from 'onnxruntime-node';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { roundHalfToEven } from '../../../support/roundHalfToEven';
import { editModel } from '../../../../src/engine/formats/onnx/editModel';
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  type ModelProto,
} from '../../../../src/engine/formats/onnx/generated/onnx';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { readGraph } from '../../../../src/engine/formats/onnx/readGraph';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { writeOnnxModel } from '../../../../src/engine/formats/onnx/writeOnnxModel';
import { findGraphProblems } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops';
import { onnxFile } from '../../../support/onnxFixtures';
import { feedTensor, runModel } from '../../../support/runGraph';
import { temporaryFolder } from '../../../support/fixtures';
import { plainOrt } from '../../../support/ort';

const folder = temporaryFolder();

const floats = (...shape: number[]) => feedTensor('float32', shape, undefined, 7);
const ids = (limit: number, ...shape: number[]) => {
  const random = new SeededRandom(3);
  const data = BigInt64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => BigInt(random.nextBelow(limit)));
  return new plainOrt.Tensor('int64', data, shape);
};

/** Inputs for every fixture that runs. */
const runnable: Readonly<Record<string, () => Record<string, ort.Tensor>>> = {
  'digits-mlp': () => ({ input: floats(5, 64) }),
  'digits-a': () => ({ input: floats(5, 1, 8, 8) }),
  'din-a': () => ({ history: ids(50, 3, 20), target: ids(50, 3) }),
  external: () => ({ x: floats(5, 16) }),
  'old-ir3': () => ({ x: floats(5, 16) }),
  storages: () => ({ x: floats(5, 4) }),
};

const path = onnxFile;

describe('models of other programs', () => {
  test.each(Object.entries(runnable))(
    '%s: rewritten unchanged, with internal or external data, it computes the same',
    async (name, feeds) => {
      const expected = await runModel(path(name), feeds());
      for (const externalData of ['auto', 'always'] as const) {
        const editor = await editModel(path(name));
        const target = join(folder, `${name}-${externalData}.onnx`);
        const { files } = await editor.write(target, { externalData });
        // Writing twice gives the same bytes: the first time left nothing behind.
        const again = join(folder, `${name}-${externalData}-again.onnx`);
        await editor.write(again, { externalData });
        await editor.close();
        expect(files.length).toBe(externalData === 'always' ? 2 : 1);
        expect(await runModel(target, feeds())).toEqual(expected);
        if (externalData === 'auto') expect((await readFile(target)).equals(await readFile(again))).toBe(true);
      }
    },
  );

  test.each(Object.entries(runnable))('%s: read as a graph it is valid and computes the same', async (name, feeds) => {
    const expected = await runModel(path(name), feeds());
    const loaded = await readGraph(path(name), { operators, externalFrom: Infinity });
    expect(findGraphProblems(loaded, operators)).toEqual([]);
    expect(await runModel(encodeModel(loaded), feeds())).toEqual(expected);
    // Large constants stay in the file that was read; the runtime finds them there.
    const lazy = await readGraph(path(name), { operators, externalFrom: 1024 });
    const extra = { session: { model_external_initializers_file_folder_path: dirname(path(name)) } };
    expect(await runModel(encodeModel(lazy), feeds(), { extra })).toEqual(expected);
    const target = join(folder, `${name}-written.onnx`);
    await writeOnnxModel(loaded, target, { externalData: 'always' });
    expect(await runModel(target, feeds())).toEqual(expected);
  });

  test('our rules infer the output types that PyTorch declared', async () => {
    const graph = await readGraph(path('din-a'), { operators });
    const stated = fromBinary(ModelProtoSchema, await readFile(path('din-a'))).graph?.valueInfo ?? [];
    expect(stated.length).toBeGreaterThan(40);
    expect(graph.nodes.flatMap((node) => node.outputs).filter((value) => value?.type.unknown === true)).toEqual([]);
  });

  test('bodies, functions and unknown operators survive reading; verification names unknown operators', async () => {
    const source = await readFile(path('nested'));
    const model = fromBinary(ModelProtoSchema, source);
    if (model.graph) model.graph.sparseInitializer = [];
    if (model.graph) model.graph.node = model.graph.node.filter((node) => node.name !== 'last');
    if (model.graph) (model.graph.output[0] as { name: string }).name = 'u';
    const target = join(folder, 'nested-dense.onnx');
    await writeFile(target, toBinary(ModelProtoSchema, model));
    const graph = await readGraph(target, { operators });
    expect(findGraphProblems(graph, operators).map((problem) => [problem.code, problem.node])).toEqual([['unknown-operator', 'call']]);
    await expect(readGraph(path('nested'))).rejects.toMatchObject({ code: 'unsupported' });
  });
});

describe('editing', () => {
  /** A model with things in it that no current schema knows. */
  async function withUnknownFields(): Promise<{ file: string; before: ModelProto }> {
    const model = fromBinary(ModelProtoSchema, await readFile(path('nested')));
    const odd = (no: number, text: string) => ({ no, wireType: 2, data: Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]) });
    model.$unknown = [odd(900, 'model')];
    const graph = model.graph;
    if (!graph) throw new Error('no graph');
    graph.$unknown = [odd(901, 'graph')];
    (graph.node[0] as { $unknown?: unknown }).$unknown = [odd(902, 'node')];
    (graph.input[0] as { $unknown?: unknown }).$unknown = [odd(903, 'value')];
    model.metadataProps.push(create(StringStringEntryProtoSchema, { key: 'author', value: 'somebody' }));
    // A large weight with an unknown field of its own: its values are cut out and put back around it.
    const large = fromBinary(ModelProtoSchema, await readFile(path('digits-mlp'))).graph?.initializer[0];
    if (!large) throw new Error('no weight');
    large.$unknown = [odd(904, 'tensor')];
    graph.initializer.push(large);
    // Element types of a later schema, small and large.
    for (const [name, bytes] of [
      ['future', 8],
      ['future-large', 4096],
    ] as const)
      graph.initializer.push(
        create(TensorProtoSchema, { name, dims: [BigInt(bytes)], dataType: 77, rawData: new Uint8Array(bytes).fill(5) }),
      );
    // A large tensor in a typed field stays in that field.
    graph.initializer.push(
      create(TensorProtoSchema, {
        name: 'typed',
        dims: [2000n],
        dataType: 7,
        int64Data: Array.from({ length: 2000 }, (_, i) => BigInt(i - 1000)),
      }),
    );
    const file = join(folder, 'unknown.onnx');
    await writeFile(file, toBinary(ModelProtoSchema, model));
    return { file, before: fromBinary(ModelProtoSchema, await readFile(file)) };
  }

  test('nothing unknown is lost: fields of later schemas, metadata, functions, doc strings', async () => {
    const { file, before } = await withUnknownFields();
    const editor = await editModel(file);
    const target = join(folder, 'unknown-rewritten.onnx');
    await editor.write(target);
    await editor.close();
    expect(fromBinary(ModelProtoSchema, await readFile(target))).toEqual(before);
  });

  test('a Gemm weight becomes 4-bit codes behind DequantizeLinear and the runtime runs it', async () => {
    const editor = await editModel(path('digits-mlp'));
    const weight = editor.weights().get('fc1.weight');
    if (!weight) throw new Error('no weight');
    expect(weight).toMatchObject({ dtype: 'float32' });
    expect(weight.uses.map((use) => [use.node.opType, use.input])).toEqual([['Gemm', 1]]);
    const bytes = await editor.read('fc1.weight');
    const values = new Float32Array(bytes.slice().buffer);
    const [rows, columns] = weight.shape as [number, number];
    const scales = new Float32Array((rows * columns) / 32);
    const codes = new Uint8Array((rows * columns) / 2);
    const rounded = new Float32Array(values.length);
    values.forEach((_, index) => {
      const group = Math.floor(index / 32);
      if (index % 32 === 0) scales[group] = Math.fround(Math.max(...values.subarray(index, index + 32).map(Math.abs)) / 7);
      const code = Math.max(-8, Math.min(7, roundHalfToEven((values[index] as number) / (scales[group] as number))));
      codes[index >> 1] = (codes[index >> 1] as number) | ((code & 15) << (index % 2 === 0 ? 0 : 4));
      rounded[index] = code * (scales[group] as number);
    });
    expect(editor.opset).toBe(18);
    editor.raiseOpset(21);
    const [codesName, scalesName, restored] = ['codes', 'scales', 'restored'].map((part) => editor.uniqueName(`fc1.weight_${part}`)) as [
      string,
      string,
      string,
    ];
    editor.addInitializer(codesName, { dtype: 'int4', shape: weight.shape, bytes: codes });
    editor.addInitializer(scalesName, { dtype: 'float32', shape: [rows, columns / 32], bytes: new Uint8Array(scales.buffer) });
    const use = weight.uses[0];
    if (!use) throw new Error('no use');
    editor.insertBefore(use.node, [
      {
        op: 'DequantizeLinear',
        inputs: [codesName, scalesName],
        outputs: [restored],
        attributes: { axis: { kind: 'int', value: 1 }, block_size: { kind: 'int', value: 32 } },
      },
    ]);
    editor.replaceInput(use.node, use.input, restored);
    expect(editor.removeUnusedWeights()).toEqual(['fc1.weight']);
    const target = join(folder, 'mlp-int4.onnx');
    await editor.write(target);

    // The same with the rounded values as a float weight, streamed in.
    const plain = await editModel(path('digits-mlp'));
    plain.replaceInitializer('fc1.weight', { dtype: 'float32', shape: weight.shape, pieces: () => [new Uint8Array(rounded.buffer)] });
    const control = join(folder, 'mlp-rounded.onnx');
    await plain.write(control);
    await Promise.all([editor.close(), plain.close()]);

    const feeds = runnable['digits-mlp'];
    if (!feeds) throw new Error('no feeds');
    const options = { graphOptimizationLevel: 'disabled' } as const;
    const [quantised, expected] = [await runModel(target, feeds(), options), await runModel(control, feeds(), options)];
    expect(quantised['logits']?.shape).toEqual(expected['logits']?.shape);
    const pairs = Array.from(quantised['logits']?.data as Float32Array, (value, i) =>
      Math.abs(value - (expected['logits']?.data[i] as number)),
    );
    expect(Math.max(...pairs)).toBeLessThan(1e-5);
    const container = await openOnnx(target);
    expect([...container.tensors.keys()]).not.toContain('fc1.weight');
    expect(container.graph?.opset).toEqual({ '': 21 });
    await container.close();
  });

  test('weights in Constant nodes can be read and replaced', async () => {
    const editor = await editModel(path('nested'));
    expect((await editor.read('w_const')).byteLength).toBe(64);
    editor.replaceInitializer('w_const', { dtype: 'float32', shape: [4, 4], bytes: new Uint8Array(64) });
    expect(editor.graph.node.some((node) => node.opType === 'Constant')).toBe(false);
    expect(
      editor
        .weights()
        .get('w_const')
        ?.uses.map((use) => use.node.name),
    ).toEqual(['first']);
    await editor.close();
  });

  test('a model from before IR version 4 gets new weights without new inputs', async () => {
    const editor = await editModel(path('old-ir3'));
    const bytes = await editor.read('w');
    editor.replaceInitializer('w', { dtype: 'float32', shape: [16, 8], bytes });
    editor.addInitializer('bias', {
      dtype: 'float32',
      shape: [8],
      bytes: new Uint8Array(Float32Array.from({ length: 8 }, () => 2).buffer),
    });
    const product = editor.uniqueName('product');
    const node = editor.graph.node[0];
    if (!node) throw new Error('no node');
    node.output[0] = product;
    const [add] = editor.insertBefore(node, [{ op: 'Add', inputs: [product, 'bias'], outputs: ['y'] }]);
    const { graph } = editor;
    expect(graph.node.shift()).toBe(add);
    graph.node.push(add!);
    const target = join(folder, 'modern.onnx');
    await editor.write(target);
    await editor.close();
    const feeds = { x: floats(5, 16) };
    const before = (await runModel(path('old-ir3'), feeds))['y']?.data as Float32Array;
    const after = (await runModel(target, feeds))['y']?.data as Float32Array;
    after.forEach((value, index) => expect(value).toBeCloseTo((before[index] as number) + 2, 5));
  });

  test('wrong uses are refused', async () => {
    const editor = await editModel(path('digits-mlp'));
    expect(() => editor.addInitializer('fc1.weight', { dtype: 'float32', shape: [1], bytes: new Uint8Array(4) })).toThrow(/already/);
    expect(() => editor.addInitializer('new', { dtype: 'float32', shape: [2], bytes: new Uint8Array(4) })).toThrow(/8 bytes, got 4/);
    expect(() => editor.replaceInitializer('nothing', { dtype: 'float32', shape: [1], bytes: new Uint8Array(4) })).toThrow(/no weight/);
    await expect(editor.write(path('digits-mlp'))).rejects.toMatchObject({ code: 'invalid-argument' });
    await editor.close();
  });

  test.each(['digits-a', 'din-a'])('%s lifted from operator version 18 to 21 computes the same', async (name) => {
    const feeds = runnable[name];
    if (!feeds) throw new Error('no feeds');
    const editor = await editModel(path(name));
    editor.raiseOpset(21);
    expect(editor.opset).toBe(21);
    const target = join(folder, `${name}-21.onnx`);
    await editor.write(target);
    await editor.close();
    expect(await runModel(target, feeds())).toEqual(await runModel(path(name), feeds()));
  });

  test('upgrading old operators: axes become inputs, the axis of Softmax is explicit', async () => {
    const opset11 = (node: object) =>
      ({
        irVersion: 6n,
        opsetImport: [{ $typeName: 'onnx.OperatorSetIdProto', domain: '', version: 11n }],
        graph: { name: 'old', node: [node], input: [], output: [], initializer: [] },
      }) as const;
    const info = (name: string, shape: number[]) => ({
      name,
      type: {
        value: {
          case: 'tensorType' as const,
          value: { elemType: 1, shape: { dim: shape.map((n) => ({ value: { case: 'dimValue' as const, value: BigInt(n) } })) } },
        },
      },
    });
    const save = async (name: string, node: object, output: number[]) => {
      const base = opset11(node);
      const model = create(ModelProtoSchema, {
        ...base,
        opsetImport: [{ domain: '', version: 11n }],
        graph: { ...base.graph, input: [info('x', [2, 3])], output: [info('y', output)] },
      } as never);
      const file = join(folder, name);
      await writeFile(file, toBinary(ModelProtoSchema, model));
      return file;
    };
    const file = await save(
      'opset11.onnx',
      { opType: 'ReduceSum', name: 'sum', input: ['x'], output: ['y'], attribute: [{ name: 'axes', type: 7, ints: [1n] }] },
      [2, 1],
    );
    const editor = await editModel(file);
    editor.raiseOpset(21);
    const target = join(folder, 'opset21.onnx');
    await editor.write(target);
    await editor.close();
    const feeds = { x: floats(2, 3) };
    expect(await runModel(target, feeds)).toEqual(await runModel(file, feeds));

    const softmax = await editModel(await save('softmax11.onnx', { opType: 'Softmax', name: 'flat', input: ['x'], output: ['y'] }, [2, 3]));
    softmax.raiseOpset(21);
    expect(softmax.graph.node[0]?.attribute).toMatchObject([{ name: 'axis', i: -1n }]);
    await softmax.close();
  });
});
