import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeAttribute, encodeTensor } from '../../../../src/engine/formats/onnx/encodeModel';
import { editModel } from '../../../../src/engine/formats/onnx/editModel';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
} from '../../../../src/engine/formats/onnx/generated/onnx';
import type { DType } from '../../../../src/protocol/dtypes';
import { encodeTypeProto } from '../../../../src/engine/formats/onnx/typeProto';
import { float, int } from '../../../../src/engine/graph/builder';
import { operatorUpgrades } from '../../../../src/engine/formats/onnx/opset/operatorUpgrades';
import { constant, fed, oldOperatorCases } from '../../../support/oldOperatorCases';
import { oldOperatorModel } from '../../../support/oldOperatorModel';
import { propertySeed } from '../../../support/propertySeed';
import { feedTensor, runModel } from '../../../support/runGraph';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

/** Operators that are listed only to be refused: what no opset expresses, and what the runtime cannot run from opset 22 on. */
const refused: Readonly<Record<string, number>> = {
  Scan: 8,
  GlobalLpPool: 21,
  MaxRoiPool: 21,
  Multinomial: 21,
  RandomNormal: 21,
  RandomNormalLike: 21,
  RandomUniform: 21,
  RandomUniformLike: 21,
};

async function raised(file: string, target: string, version: number): Promise<void> {
  const editor = await editModel(file);
  try {
    editor.raiseOpset(version);
    expect(editor.opset).toBe(version);
    await editor.write(target);
  } finally {
    await editor.close();
  }
}

test('every upgrade has random cases', () => {
  expect(Object.keys(oldOperatorCases).sort()).toEqual([...operatorUpgrades.keys()].filter((op) => !(op in refused)).sort());
});

test.each(Object.entries(refused))('%s of opset %d is refused by name, and the model stays as it was', async (op, opset) => {
  const file = join(folder, `${op}.onnx`);
  await writeFile(file, oldOperatorModel({ op, opset, inputs: [fed([2, 3])] }));
  const editor = await editModel(file);
  expect(() => editor.raiseOpset(25)).toThrow(new RegExp(`opset ${opset} and cannot be upgraded .*${op} \\(node 'node'\\)`));
  expect(editor.opset).toBe(opset);
  await editor.close();
});

test('opsets before 7 are refused', async () => {
  const file = join(folder, 'six.onnx');
  await writeFile(file, oldOperatorModel({ op: 'Relu', opset: 6, inputs: [fed([2, 3])] }));
  const editor = await editModel(file);
  expect(() => editor.raiseOpset(21)).toThrow(/uses opset 6 and cannot be upgraded to the required opset 21: it is older than opset 7/);
  await editor.close();
});

test('a form that the new opset lacks is refused with the reason', async () => {
  const file = join(folder, 'spatial.onnx');
  const channels = ['scale', 'bias', 'mean', 'variance'].map((name) => constant(name, [1, 1, 1]));
  await writeFile(
    file,
    oldOperatorModel({ op: 'BatchNormalization', opset: 8, inputs: [fed([2, 3]), ...channels], attributes: { spatial: int(0) } }),
  );
  const editor = await editModel(file);
  expect(() => editor.raiseOpset(21)).toThrow(/BatchNormalization \(node 'node'\): statistics for each position/);
  await editor.close();
});

describe.each(Object.entries(oldOperatorCases))('%s', (op, arbitrary) => {
  test('computes the same in the runtime after an upgrade', { timeout: 120_000 }, async () => {
    const [file, target] = [join(folder, `${op}.onnx`), join(folder, `${op}-new.onnx`)];
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, op === 'RoiAlign' ? fc.constant(21) : fc.constantFrom(21, 25), async (one, version) => {
        await writeFile(file, oldOperatorModel(one));
        const feeds = { x: feedTensor('float32', [...one.inputs[0]!.shape], undefined, 7) };
        let expected;
        try {
          expected = await runModel(file, feeds);
        } catch {
          // The runtime has no kernel for this old form: there is nothing to be kept.
          return;
        }
        ran += 1;
        await raised(file, target, version);
        const found = await runModel(target, feeds);
        for (const [name, { data, shape }] of Object.entries(expected)) {
          expect(found[name]?.shape).toEqual(shape);
          const values = Array.from(found[name]!.data as ArrayLike<number>, Number);
          Array.from(data as ArrayLike<number>, Number).forEach((value, index) => {
            if (!Object.is(values[index], value))
              expect(Math.abs((values[index] as number) - value)).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(value)));
          });
        }
      }),
      { seed: propertySeed, numRuns: 30 },
    );
    expect(ran).toBeGreaterThan(5);
  });
});

describe('where nodes are', () => {
  const clipped = (name: string) =>
    create(NodeProtoSchema, {
      opType: 'Clip',
      name,
      input: ['x'],
      output: ['y0'],
      attribute: [encodeAttribute('max', float(0.25))],
    });
  const feeds = { x: feedTensor('float32', [2, 3], undefined, 7) };

  test('nodes of a function are upgraded with its own opset', async () => {
    const model = fromBinary(ModelProtoSchema, oldOperatorModel({ op: 'F', opset: 10, inputs: [fed([2, 3])] }));
    model.graph!.node[0]!.domain = 'own';
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'own', version: 1n }));
    model.functions.push(
      create(FunctionProtoSchema, {
        name: 'F',
        domain: 'own',
        input: ['x'],
        output: ['y0'],
        opsetImport: [{ domain: '', version: 10n }],
        node: [clipped('inside')],
      }),
    );
    const [file, target] = [join(folder, 'function.onnx'), join(folder, 'function-new.onnx')];
    await writeFile(file, toBinary(ModelProtoSchema, model));
    await raised(file, target, 21);
    expect(await runModel(target, feeds)).toEqual(await runModel(file, feeds));
  });

  test('nodes of bodies are upgraded', async () => {
    const body = (name: string) => create(GraphProtoSchema, { name, node: [clipped(`${name}-clip`)], output: [{ name: 'y0' }] });
    const model = fromBinary(ModelProtoSchema, oldOperatorModel({ op: 'If', opset: 10, inputs: [fed([2, 3])] }));
    model.graph!.initializer.push(encodeTensor({ kind: 'inline', dtype: 'bool', shape: [], bytes: new Uint8Array([1]) }, 'condition'));
    const node = model.graph!.node[0]!;
    node.input = ['condition'];
    node.attribute = ['then_branch', 'else_branch'].map((name) => {
      const g = body(name);
      g.node[0]!.output = g.output.map((output) => (output.name = name));
      return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.GRAPH, g });
    });
    const [file, target] = [join(folder, 'bodies.onnx'), join(folder, 'bodies-new.onnx')];
    await writeFile(file, toBinary(ModelProtoSchema, model));
    await raised(file, target, 21);
    expect(await runModel(target, feeds)).toEqual(await runModel(file, feeds));
  });

  /** A model that calls `then` or `else` by the input `condition`; every list of nodes uses the names it likes. */
  const branching = (opset: number, [then, other]: readonly [GraphProto, GraphProto]) => {
    const model = fromBinary(ModelProtoSchema, oldOperatorModel({ op: 'If', opset, inputs: [fed([1, 24])] }));
    const node = model.graph!.node[0]!;
    node.input = ['condition'];
    node.attribute = [then, other].map((g, index) =>
      create(AttributeProtoSchema, { name: ['then_branch', 'else_branch'][index]!, type: AttributeProto_AttributeType.GRAPH, g }),
    );
    model.graph!.input.push(valueInfo('condition', 'bool', []));
    return model;
  };
  const valueInfo = (name: string, dtype: DType, shape: readonly number[]) =>
    create(ValueInfoProtoSchema, { name, type: encodeTypeProto({ dtype, shape })! });
  const reshaped = (name: string, shape: readonly number[], flat: string) => [
    encodeTensor({ kind: 'inline', dtype: 'int64', shape: [shape.length], bytes: bytesOf(BigInt64Array.from(shape.map(BigInt))) }, name),
    encodeTensor({ kind: 'inline', dtype: 'int64', shape: [1], bytes: bytesOf(BigInt64Array.of(-1n)) }, flat),
  ];
  const bytesOf = ({ buffer }: { readonly buffer: ArrayBuffer }) => new Uint8Array(buffer);
  const make = (opType: string, input: readonly string[], output: string, attribute: AttributeProto[] = []) =>
    create(NodeProtoSchema, { opType, input: [...input], output: [output], attribute });
  const bothWays = async (model: ModelProto, stem: string, x: readonly number[]) => {
    const [file, target] = [join(folder, `${stem}.onnx`), join(folder, `${stem}-new.onnx`)];
    await writeFile(file, toBinary(ModelProtoSchema, model));
    await raised(file, target, 21);
    for (const flag of [0, 1]) {
      const feeds = { x: feedTensor('float32', [...x], undefined, 7), condition: feedTensor('bool', [], [flag]) };
      expect(await runModel(target, feeds)).toEqual(await runModel(file, feeds));
    }
  };

  test('a name that both branches use for values of different ranks means what it means in each', async () => {
    const body = (stem: string, shape: readonly number[]) =>
      create(GraphProtoSchema, {
        name: stem,
        node: [
          make('Reshape', ['x', `${stem}-shape`], 't'),
          make('Softmax', ['t'], 's', [encodeAttribute('axis', int(1))]),
          make('Reshape', ['s', `${stem}-flat`], 'o'),
        ],
        initializer: reshaped(`${stem}-shape`, shape, `${stem}-flat`),
        valueInfo: [valueInfo('t', 'float32', shape), valueInfo('s', 'float32', shape)],
        output: [{ name: 'o' }],
      });
    const [flat, deep] = [body('flat', [6, 4]), body('deep', [2, 3, 4])];
    await bothWays(branching(11, [flat, deep]), 'ranks', [1, 24]);
    await bothWays(branching(11, [deep, flat]), 'ranks-turned', [1, 24]);
  });

  test('a name that both branches use for different scales means what it means in each', async () => {
    const body = (stem: string, scale: number, op = 'constant') => {
      const tensor = encodeTensor(
        { kind: 'inline', dtype: 'float32', shape: [2], bytes: bytesOf(Float32Array.of(1, scale)) },
        op === 'constant' ? 'scales' : '',
      );
      return create(GraphProtoSchema, {
        name: stem,
        node: [
          ...(op === 'constant'
            ? []
            : [
                make('Constant', [], 'scales', [
                  create(AttributeProtoSchema, { name: 'value', type: AttributeProto_AttributeType.TENSOR, t: tensor }),
                ]),
              ]),
          make('Resize', ['x', 'scales'], 'all', [encodeAttribute('mode', { kind: 'string', value: 'nearest' })]),
          // Branches of opset 10 give one shape.
          make('Slice', ['all', `${stem}-start`, `${stem}-end`, `${stem}-axis`], 'o'),
        ],
        initializer: [
          ...(op === 'constant' ? [tensor] : []),
          ...[0, 10, 1].map((value, index) =>
            encodeTensor(
              { kind: 'inline', dtype: 'int64', shape: [1], bytes: bytesOf(BigInt64Array.of(BigInt(value))) },
              `${stem}-${['start', 'end', 'axis'][index]!}`,
            ),
          ),
        ],
        output: [{ name: 'o' }],
      });
    };
    await bothWays(branching(10, [body('a', 0.6), body('b', 1.6)]), 'scales', [1, 24]);
    await bothWays(branching(10, [body('a', 1.6, 'node'), body('b', 0.6, 'node')]), 'scales-node', [1, 24]);
  });

  test('a body that uses a name of the graph around it for a value of its own means its own', async () => {
    const shape = [2, 3, 4];
    // `t` outside has two axes, so Softmax over axis 1 is over the last one; inside it has three.
    const loop = create(GraphProtoSchema, {
      name: 'body',
      input: [valueInfo('i', 'int64', []), valueInfo('on', 'bool', []), create(ValueInfoProtoSchema, { name: 't' })],
      node: [make('Identity', ['on'], 'still'), make('Softmax', ['t'], 'o', [encodeAttribute('axis', int(1))])],
      output: [{ name: 'still' }, { name: 'o' }],
    });
    const model = fromBinary(ModelProtoSchema, oldOperatorModel({ op: 'Loop', opset: 11, inputs: [fed(shape)] }));
    const graph = model.graph!;
    const node = graph.node[0]!;
    node.input = ['count', '', 'x'];
    node.attribute = [create(AttributeProtoSchema, { name: 'body', type: AttributeProto_AttributeType.GRAPH, g: loop })];
    graph.initializer.push(
      encodeTensor({ kind: 'inline', dtype: 'int64', shape: [], bytes: bytesOf(BigInt64Array.of(1n)) }, 'count'),
      ...reshaped('shape', [6, 4], 'unused'),
    );
    graph.node.push(make('Reshape', ['x', 'shape'], 't'), make('Softmax', ['t'], 'y1', [encodeAttribute('axis', int(1))]));
    graph.valueInfo.push(valueInfo('t', 'float32', [6, 4]));
    graph.output.push(create(ValueInfoProtoSchema, { name: 'y1' }));
    const [file, target] = [join(folder, 'shadow.onnx'), join(folder, 'shadow-new.onnx')];
    await writeFile(file, toBinary(ModelProtoSchema, model));
    await raised(file, target, 21);
    const fedShape = { x: feedTensor('float32', shape, undefined, 7) };
    expect(await runModel(target, fedShape)).toEqual(await runModel(file, fedShape));
  });

  test('a function does not mean the value of the graph that has the name of its own', async () => {
    const shape = [2, 3, 4];
    const model = fromBinary(ModelProtoSchema, oldOperatorModel({ op: 'F', opset: 11, inputs: [fed(shape)] }));
    const graph = model.graph!;
    graph.node[0]!.domain = 'own';
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'own', version: 1n }));
    model.functions.push(
      create(FunctionProtoSchema, {
        name: 'F',
        domain: 'own',
        input: ['t'],
        output: ['o'],
        opsetImport: [{ domain: '', version: 11n }],
        node: [make('Softmax', ['t'], 'o', [encodeAttribute('axis', int(1))])],
      }),
    );
    graph.initializer.push(...reshaped('shape', [6, 4], 'unused'));
    graph.node.push(make('Reshape', ['x', 'shape'], 't'), make('Identity', ['t'], 'y1'));
    graph.valueInfo.push(valueInfo('t', 'float32', [6, 4]));
    graph.output.push(create(ValueInfoProtoSchema, { name: 'y1' }));
    const [file, target] = [join(folder, 'own-names.onnx'), join(folder, 'own-names-new.onnx')];
    await writeFile(file, toBinary(ModelProtoSchema, model));
    await raised(file, target, 21);
    const fedShape = { x: feedTensor('float32', shape, undefined, 7) };
    expect(await runModel(target, fedShape)).toEqual(await runModel(file, fedShape));
  });
});
