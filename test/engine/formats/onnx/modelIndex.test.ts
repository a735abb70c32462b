import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { editModel, type OnnxEditor } from '../../../../src/engine/formats/onnx/editModel';
import { encodeTensor } from '../../../../src/engine/formats/onnx/encodeModel';
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../../../../src/engine/formats/onnx/generated/onnx';
import { encodeTypeProto } from '../../../../src/engine/formats/onnx/typeProto';
import { onnxFile } from '../../../support/onnxFixtures';
import { propertySeed } from '../../../support/propertySeed';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

/** Uses of every value, by its own walk over the whole message. */
function usesIn(graph: GraphProto, found = new Map<string, { readonly node: NodeProto; readonly input: number }[]>()) {
  for (const node of graph.node) {
    node.input.forEach((name, input) => found.set(name, [...(found.get(name) ?? []), { node, input }]));
    for (const { g, graphs } of node.attribute) for (const body of g ? [g, ...graphs] : graphs) usesIn(body, found);
  }
  return found;
}

const isConstant = (node: NodeProto) => node.opType === 'Constant' && node.attribute.some(({ name, t }) => name === 'value' && t);

/** What the message itself says about weights. */
function scanned(graph: GraphProto) {
  const uses = usesIn(graph);
  const names = [...graph.initializer.map(({ name }) => name), ...graph.node.filter(isConstant).map(({ output }) => output[0] as string)];
  return { names, uses };
}

const identities = new Map<NodeProto, number>();
const identityOf = (node: NodeProto): number => {
  if (!identities.has(node)) identities.set(node, identities.size);
  return identities.get(node) as number;
};
const sorted = (uses: readonly { readonly node: NodeProto; readonly input: number }[]) =>
  uses.map(({ node, input }) => `${identityOf(node)}:${input}`).sort();

const float32 = (count: number) => ({ dtype: 'float32' as const, shape: [count], bytes: new Uint8Array(4 * count) });

/** Makes one random edit; numbers choose among what there is. */
function edit(editor: OnnxEditor, inputs: Set<string>, kind: number, first: number, second: number): void {
  const weights = [...editor.weights().keys()];
  const pick = <T>(items: readonly T[], at: number): T | undefined => items[at % Math.max(1, items.length)];
  const weight = pick(weights, first);
  const uses = weight === undefined ? [] : editor.weights().get(weight)!.uses;
  const use = pick(uses, second);
  const node = pick(mainNodes.get(editor)!, first);
  const newNode = () => {
    const output = editor.uniqueName('made');
    return { op: 'Add', inputs: [pick(weights, second) ?? 'x', pick(weights, first) ?? 'x'], outputs: [output] };
  };
  const note = (made: readonly NodeProto[]) => mainNodes.get(editor)!.push(...made);
  const forget = (gone: NodeProto) =>
    mainNodes.set(
      editor,
      mainNodes.get(editor)!.filter((item) => item !== gone),
    );
  if (kind === 0) editor.addInitializer(editor.uniqueName('w'), float32(2));
  if (kind === 1 && weight !== undefined) editor.replaceInitializer(weight, float32(3));
  if (kind === 2 && weight !== undefined) {
    editor.emptyWeight(weight);
    inputs.add(weight);
  }
  if (kind === 3) {
    const name = pick([...inputs], first);
    if (name === undefined) return;
    editor.fillInput(name, float32(2));
    inputs.delete(name);
  }
  if (kind === 4 && use) editor.replaceInput(use.node, use.input, pick(weights, second + 1) ?? 'x');
  if (kind === 5 && node) note(editor.insertBefore(node, [newNode(), newNode()]));
  if (kind === 6) note(editor.insertFirst([newNode()]));
  if (kind === 7 && node) {
    note(editor.replaceNode(node, [newNode()]));
    forget(node);
  }
  if (kind === 8 && node) {
    editor.removeNode(node);
    forget(node);
  }
  if (kind === 9) editor.removeUnusedWeights();
  if (kind === 10) editor.graph.node.reverse();
}

/** Nodes of the main graph that are not Constants: those take their weights with them. */
const mainNodes = new Map<OnnxEditor, NodeProto[]>();

test.each(['digits-mlp', 'digits-a', 'nested', 'storages'])('%s: after any edits the index equals one built from scratch', async (name) => {
  const edits = fc.array(fc.tuple(fc.nat(10), fc.nat(50), fc.nat(50)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const editor = await editModel(onnxFile(name));
      try {
        mainNodes.set(
          editor,
          editor.graph.node.filter((node) => !isConstant(node)),
        );
        const inputs = new Set<string>();
        for (const [kind, first, second] of list) edit(editor, inputs, kind, first, second);
        const known = [...editor.weights()].map(([key, { name: own, uses }]) => [key, own, sorted(uses)] as const);
        const names = [...editor.weights().keys()];
        const outputs = mainNodes.get(editor)!.flatMap(({ output }) => output);
        const makers = outputs.map((output) => editor.makerOf(output));
        const { graph } = editor;
        expect(makers).toEqual(outputs.map((output) => [...graph.node].reverse().find((node) => node.output.includes(output))));
        const { names: expected, uses } = scanned(graph);
        expect(names).toEqual(expected);
        expect(known).toEqual(expected.map((key) => [key, key, sorted(uses.get(key) ?? [])]));
        expect(editor.weights().size).toBe(expected.length);
        for (const input of inputs)
          expect([graph.input.some((value) => value.name === input), editor.weights().has(input)]).toEqual([true, false]);
      } finally {
        mainNodes.delete(editor);
        await editor.close();
      }
    }),
    { seed: propertySeed, numRuns: 60 },
  );
});

test('edits in the order that they were made give the messages in that order', async () => {
  const editor = await editModel(onnxFile('digits-mlp'));
  const before = [...editor.graph.node];
  const add = (output: string) => ({ op: 'Identity', inputs: ['input'], outputs: [output] });
  const middle = before[1]!;
  const [a] = editor.insertBefore(middle, [add('a')]);
  const [b, c] = editor.insertBefore(middle, [add('b'), add('c')]);
  const [d] = editor.insertFirst([add('d')]);
  const [e] = editor.insertFirst([add('e')]);
  const [f] = editor.replaceNode(middle, [add('f')]);
  expect(editor.graph.node).toEqual([e, d, before[0], a, b, c, f, ...before.slice(2)]);
  await editor.close();
});

test('changing a list of the graph while edits are pending is an error, not a lost change', async () => {
  const editor = await editModel(onnxFile('digits-mlp'));
  const { graph } = editor;
  editor.insertFirst([{ op: 'Identity', inputs: ['input'], outputs: ['copy'] }]);
  graph.node.pop();
  expect(() => editor.graph).toThrow(/changed directly/);
  await editor.close();
});

/** A chain of small products, each with its weight. */
function manyProducts(count: number): ModelProto {
  const type = encodeTypeProto({ dtype: 'float32', shape: [1, 4] })!;
  return create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 21n })],
    graph: {
      name: 'chain',
      input: [create(ValueInfoProtoSchema, { name: 'x0', type })],
      output: [create(ValueInfoProtoSchema, { name: `x${count}`, type })],
      initializer: Array.from({ length: count }, (_, index) =>
        encodeTensor({ kind: 'inline', dtype: 'float32', shape: [4, 4], bytes: new Uint8Array(64) }, `w${index}`),
      ),
      node: Array.from({ length: count }, (_, index) =>
        create(NodeProtoSchema, { opType: 'MatMul', name: `mm${index}`, input: [`x${index}`, `w${index}`], output: [`x${index + 1}`] }),
      ),
    },
  });
}

/** Counts every element of the graph's lists that is read, however the lists are replaced. */
function countLooks(graph: GraphProto): { looks: number } {
  const counter = { looks: 0 };
  const watched = <T extends object>(list: T): T =>
    new Proxy(list, {
      get: (target, key, receiver) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) counter.looks += 1;
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
  for (const key of ['node', 'initializer', 'input', 'valueInfo'] as const) {
    let list: object = watched(graph[key]);
    Object.defineProperty(graph, key, { get: () => list, set: (next: object) => (list = watched(next)), enumerable: true });
  }
  return counter;
}

async function looksFor(count: number): Promise<number> {
  const file = join(folder, `chain-${count}.onnx`);
  await writeFile(file, toBinary(ModelProtoSchema, manyProducts(count)));
  const editor = await editModel(file);
  const counter = countLooks(editor.graph);
  for (let index = 0; index < count; index += 1) {
    const weight = editor.weights().get(`w${index}`)!;
    editor.addInitializer(editor.uniqueName(`w${index}.codes`), float32(4));
    const { node, input } = weight.uses[0]!;
    const restored = editor.uniqueName(`w${index}_weights`);
    const nodes = [{ op: 'Identity', inputs: [`w${index}.codes`], outputs: [restored] }];
    if (index % 3 === 0) editor.insertBefore(node, nodes);
    else editor.insertFirst(nodes);
    editor.replaceInput(node, input, restored);
    if (index % 3 === 1) editor.replaceInitializer(`w${index}`, float32(2));
    if (index % 3 === 2) {
      editor.emptyWeight(`w${index}`);
      editor.fillInput(`w${index}`, float32(2));
    }
    expect(editor.weights().has(`w${index}.codes_1`)).toBe(false);
  }
  expect(editor.removeUnusedWeights()).toHaveLength(count);
  expect(editor.graph.node).toHaveLength(2 * count);
  await editor.close();
  return counter.looks;
}

test('editing 2,000 weights reads each element of the model a few times, not all of them for each weight', async () => {
  const [few, many] = [await looksFor(200), await looksFor(2000)];
  expect(few).toBeGreaterThan(200);
  expect(many).toBeLessThan(40 * 2000);
  expect(many).toBeLessThan(11 * few);
});

test('a model of 2,000 products that was edited weight by weight is read back with every edit', async () => {
  const file = join(folder, 'whole.onnx');
  await writeFile(file, toBinary(ModelProtoSchema, manyProducts(2000)));
  const editor = await editModel(file);
  for (let index = 0; index < 2000; index += 1) {
    const { node, input } = editor.weights().get(`w${index}`)!.uses[0]!;
    editor.replaceInput(node, input, `w${(index + 1) % 2000}`);
    if (index % 2 === 0) editor.replaceInitializer(`w${index}`, { ...float32(16), shape: [4, 4] });
  }
  expect(editor.removeUnusedWeights()).toEqual([]);
  await editor.write(join(folder, 'whole-edited.onnx'));
  await editor.close();
  const model = fromBinary(ModelProtoSchema, await readFile(join(folder, 'whole-edited.onnx')));
  expect(model.graph?.node.map(({ input }) => input[1])).toEqual(Array.from({ length: 2000 }, (_, index) => `w${(index + 1) % 2000}`));
  expect(model.graph?.initializer.map(({ name }) => name)).toEqual(Array.from({ length: 2000 }, (_, index) => `w${index}`));
});

test('a Constant node is a weight while it is in the graph', async () => {
  const editor = await editModel(onnxFile('digits-mlp'));
  const value = encodeTensor({ kind: 'inline', dtype: 'float32', shape: [1], bytes: new Uint8Array(4) }, '');
  editor.graph.node.push(
    create(NodeProtoSchema, {
      opType: 'Constant',
      output: ['one'],
      attribute: [{ name: 'value', type: AttributeProto_AttributeType.TENSOR, t: value }],
    }),
  );
  expect(editor.weights().get('one')).toMatchObject({ dtype: 'float32', shape: [1], uses: [] });
  editor.removeNode(editor.graph.node.at(-1)!);
  expect(editor.weights().has('one')).toBe(false);
  await editor.close();
});
