import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GraphProtoSchema, ModelProtoSchema, NodeProtoSchema, type GraphProto } from '../../../src/engine/formats/onnx/generated/onnx';
import { findOnnxWeights } from '../../../src/engine/models/compressibleWeights';
import { temporaryFolder } from '../../support/fixtures';

const folder = temporaryFolder();

function fileOf(name: string, graph: MessageInitShape<typeof GraphProtoSchema>): string {
  const path = join(folder, `${name}.onnx`);
  const model = create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }], graph });
  writeFileSync(path, toBinary(ModelProtoSchema, model));
  return path;
}

const node = (opType: string, input: readonly string[], output: readonly string[]) =>
  create(NodeProtoSchema, { opType, name: `${opType}_${output[0]}`, input: [...input], output: [...output] });

/** A float32 matrix of 4 x 4 ones, which are those of no transform. */
const ones = (name: string) => ({ name, dims: [4n, 4n], dataType: 1, rawData: new Uint8Array(new Float32Array(16).fill(1).buffer) });

/** A weight behind so many nodes, then a product. */
const chain = (length: number): MessageInitShape<typeof GraphProtoSchema> => ({
  name: 'g',
  initializer: [ones('a0')],
  input: [{ name: 'x' }],
  output: [{ name: 'y' }],
  node: [
    ...Array.from({ length }, (_, index) => node('Identity', [`a${index}`], [`a${index + 1}`])),
    node('MatMul', ['x', `a${length}`], ['y']),
  ],
});

test('a weight behind 9000 nodes is compressed', async () => {
  const { uses } = await findOnnxWeights(fileOf('deep', chain(9_000)));
  expect([...uses]).toEqual([['a0', { role: 'linear', transposed: true }]]);
});

test('a weight behind more nodes than are followed stays', async () => {
  const { uses, reasons } = await findOnnxWeights(fileOf('deeper', chain(10_001)));
  expect([...uses]).toEqual([]);
  expect(reasons.get('a0')).toMatch(/^input 0 of Identity 'Identity_a10001' is no product.*, behind Identity$/);
});

test.each([1, 2, 3])('a weight that runs into a cycle of %i nodes stays', async (length) => {
  const inside = Array.from({ length }, (_, index) => node('Identity', [`a${index}`], [`a${(index + 1) % length}`]));
  const path = fileOf(`cycle${length}`, {
    name: 'g',
    initializer: [ones('w')],
    input: [{ name: 'x' }],
    output: [{ name: 'y' }],
    node: [node('Identity', ['w'], ['a0']), ...inside, node('MatMul', ['x', 'a0'], ['y'])],
  });
  const { uses, reasons } = await findOnnxWeights(path);
  expect([...uses]).toEqual([]);
  expect(reasons.get('w')).toMatch(/^input 0 of Identity .* is no product/);
});

test('a weight that is an output of its graph stays, in the main graph and in a body, and so does what a body shows of it behind other nodes', async () => {
  const body = (name: string, shown: string): GraphProto =>
    create(GraphProtoSchema, {
      name,
      initializer: [ones('inner')],
      output: [{ name: `y_${name}` }, { name: shown }],
      node: [
        node('MatMul', ['x', 'inner'], [`t_${name}`]),
        node('MatMul', [`t_${name}`, 'main'], [`y_${name}`]),
        node('Identity', ['inner'], ['behind']),
      ],
    });
  const attribute = (name: string, shown: string) => ({ name, type: 5, g: body(name, shown) });
  const branch = create(NodeProtoSchema, {
    opType: 'If',
    name: 'if',
    input: ['c'],
    output: ['y', 'shown'],
    attribute: [attribute('then_branch', 'inner'), attribute('else_branch', 'behind')],
  });
  const path = fileOf('outputs', {
    name: 'g',
    initializer: [ones('main'), ones('used')],
    input: [{ name: 'x' }, { name: 'c' }],
    output: [{ name: 'z' }, { name: 'main' }],
    node: [branch, node('MatMul', ['y', 'used'], ['z'])],
  });
  const { uses, reasons } = await findOnnxWeights(path);
  expect([...uses.keys()]).toEqual(['used']);
  expect([...reasons]).toEqual([
    ['main', 'it is an output of its graph'],
    ['if/then_branch/inner', 'it is an output of its graph'],
    ['if/else_branch/inner', 'it is an output of its graph, behind Identity'],
  ]);
});
