import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GraphProtoSchema, ModelProtoSchema, NodeProtoSchema, type NodeProto } from '../../../../src/engine/formats/onnx/generated/onnx';
import { inOrder } from '../../../../src/engine/formats/onnx/nodeOrder';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { findOnnxWeights } from '../../../../src/engine/models/compressibleWeights';
import { wrapOrtError } from '../../../../src/engine/runtime/ortErrors';
import { temporaryFolder } from '../../../support/fixtures';
import { propertySeed } from '../../../support/propertySeed';

const folder = temporaryFolder();

function fileOf(name: string, model: MessageInitShape<typeof ModelProtoSchema>): string {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(
    path,
    toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }], ...model })),
  );
  return path;
}

const node = (name: string, input: readonly string[], output: readonly string[] = [name]): NodeProto =>
  create(NodeProtoSchema, { opType: 'Sum', name, input: [...input], output: [...output] });

describe('the order of nodes', () => {
  /** For every node, which earlier nodes it takes; then an order to shuffle them into. */
  const shuffled = fc
    .integer({ min: 1, max: 12 })
    .chain((count) =>
      fc.tuple(
        fc.tuple(...Array.from({ length: count }, (_, index) => fc.subarray([...Array(index).keys()]))),
        fc.shuffledSubarray([...Array(count).keys()], { minLength: count, maxLength: count }),
      ),
    );

  test('each node comes after those that it takes, whatever the order of the file', () => {
    fc.assert(
      fc.property(shuffled, ([needs, order]) => {
        const nodes = needs.map((list, index) => node(`n${index}`, ['x', ...list.map((each) => `n${each}`)]));
        const sorted = inOrder(
          order.map((index) => nodes[index]!),
          (name) => name === 'x',
        );
        expect(sorted.length).toBe(nodes.length);
        const known = new Set(['x']);
        for (const { input, output } of sorted) {
          for (const name of input) expect(known.has(name)).toBe(true);
          output.forEach((name) => known.add(name));
        }
      }),
      { seed: propertySeed },
    );
  });

  test('nodes in order stay as they are; what a body captures counts', () => {
    const sorted = [node('a', ['x']), node('b', ['a'])];
    expect(inOrder(sorted, () => false)).toBe(sorted);
    const body = create(GraphProtoSchema, {
      name: 'body',
      node: [node('inside', ['a', 'own'])],
      input: [{ name: 'own' }],
      output: [{ name: 'inside' }],
    });
    const user = create(NodeProtoSchema, {
      opType: 'Loop',
      name: 'loop',
      output: ['loop'],
      attribute: [{ name: 'body', type: 5, g: body }],
    });
    expect(inOrder([user, node('a', ['x'])], () => false).map(({ name }) => name)).toEqual(['a', 'loop']);
  });

  test('nodes of a cycle come last', () => {
    const names = inOrder([node('a', ['b']), node('b', ['a']), node('c', ['d']), node('d', ['x'])], () => false).map(({ name }) => name);
    expect(names).toEqual(['d', 'c', 'a', 'b']);
  });
});

describe('functions', () => {
  const call = (name: string) => ({ opType: name, domain: 'own', input: ['x'], output: ['y'] });
  /** Each function calls the next `times` times; the last has one node. */
  const chain = (depth: number, times: number) =>
    Array.from({ length: depth }, (_, index) => ({
      name: `f${index}`,
      domain: 'own',
      input: ['x'],
      output: ['y'],
      node:
        index === depth - 1
          ? [{ opType: 'Relu', input: ['x'], output: ['y'] }]
          : Array.from({ length: times }, () => call(`f${index + 1}`)),
    }));
  const graph = { name: 'g', node: [call('f0')] };

  test('a model of many small functions opens', async () => {
    const container = await openOnnx(fileOf('deep', { graph, functions: chain(2_000, 1) }));
    expect(container.metadata['functions']).toBe('2000');
    await container.close();
  });

  test('functions that expand to millions of nodes are refused at once', async () => {
    const path = fileOf('exponential', { graph, functions: chain(40, 2) });
    await expect(openOnnx(path)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/expand to 549755813888 nodes; at most 500000/) as string,
    });
    await expect(openOnnx(fileOf('endless', { graph, functions: chain(3_000, 3) }))).rejects.toThrow(/more than 1e15 nodes/);
  });

  test('functions that call themselves are refused by name', async () => {
    const [first, second] = chain(2, 1);
    const circle = [first!, { ...second!, node: [call('f0')] }];
    await expect(openOnnx(fileOf('circle', { graph, functions: circle }))).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringMatching(/Function 'own:f[01]' of .* calls itself/) as string,
    });
  });
});

test('two initialisers of one name are refused by name', async () => {
  const twin = { name: 'w', dims: [2n, 2n], dataType: 1, floatData: [1, 2, 3, 4] };
  const path = fileOf('twins', { graph: { name: 'g', node: [], initializer: [twin, twin] } });
  await expect(findOnnxWeights(path)).rejects.toMatchObject({
    code: 'malformed-file',
    message: expect.stringMatching(/named 'w'/) as string,
  });
});

describe('what the runtime refuses when it loads a model', () => {
  const wrapped = (text: string) => wrapOrtError(new Error(text), { model: 'm.onnx', action: 'create', provider: 'cpu' });

  test.each([
    [
      'Load model failed:/src/model.cc:202 onnxruntime::Model::Model(onnx::ModelProto&&) Unsupported model IR version: 14, max supported IR version: 13',
      'unsupported',
      "could not load 'm.onnx': the file has IR version 14, and this ONNX Runtime reads versions up to 13. Export",
    ],
    [
      'failed:/src/model_load_utils.h:46 void f() ONNX Runtime only *guarantees* support for official opset versions. Opset 27 is under development and support for this is limited. Current official support for domain ai.onnx is till opset 26.',
      'unsupported',
      'the model uses opset 27 of ai.onnx, and this ONNX Runtime supports opsets up to 26. Export',
    ],
    ['This is an invalid model. Error: the graph is not acyclic.', 'malformed-file', 'its nodes form a cycle.'],
  ])('%s', (text, code, message) => {
    const error = wrapped(text);
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.message).not.toMatch(/\.cc|\.h:|::/);
  });
});
