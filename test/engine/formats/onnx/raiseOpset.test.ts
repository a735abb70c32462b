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
} from '../../../../src/engine/formats/onnx/generated/onnx';
import { encodeTypeProto } from '../../../../src/engine/formats/onnx/typeProto';
import { float, int } from '../../../../src/engine/graph/builder';
import { operatorUpgrades } from '../../../../src/engine/formats/onnx/opset/operatorUpgrades';
import { constant, fed, oldOperatorCases, type CaseInput, type OldOperatorCase } from '../../../support/oldOperatorCases';
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

function modelOf({ op, opset, inputs, attributes = {}, outputs = 1, hidden = false }: OldOperatorCase): Uint8Array {
  const info = (name: string, shape: readonly (number | string)[]) => ({ name, type: encodeTypeProto({ dtype: 'float32', shape })! });
  const names = Array.from({ length: outputs }, (_, index) => `y${index}`);
  const tensor = ({ name, shape, values = [], dtype }: CaseInput) => {
    const array = dtype === 'int64' ? BigInt64Array.from(values.map(BigInt)) : Float32Array.from(values);
    return encodeTensor({ kind: 'inline', dtype: dtype ?? 'float32', shape, bytes: new Uint8Array(array.buffer) }, name);
  };
  const node = create(NodeProtoSchema, {
    opType: op,
    name: 'node',
    input: inputs.map(({ name }, index) => (index === 0 && hidden ? 'behind' : name)),
    output: names,
    attribute: Object.entries(attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
  });
  const before = hidden ? [create(NodeProtoSchema, { opType: 'Identity', name: 'first', input: ['x'], output: ['behind'] })] : [];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: BigInt(opset) }],
      graph: {
        name: 'old',
        node: [...before, node],
        input: [info('x', inputs[0]!.shape)],
        output: names.map((name) => ({ name })),
        initializer: inputs.slice(1).map(tensor),
      },
    }),
  );
}

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
  await writeFile(file, modelOf({ op, opset, inputs: [fed([2, 3])] }));
  const editor = await editModel(file);
  expect(() => editor.raiseOpset(25)).toThrow(new RegExp(`opset ${opset} and cannot be upgraded .*${op} \\(node 'node'\\)`));
  expect(editor.opset).toBe(opset);
  await editor.close();
});

test('a form that the new opset lacks is refused with the reason', async () => {
  const file = join(folder, 'spatial.onnx');
  const channels = ['scale', 'bias', 'mean', 'variance'].map((name) => constant(name, [1, 1, 1]));
  await writeFile(
    file,
    modelOf({ op: 'BatchNormalization', opset: 8, inputs: [fed([2, 3]), ...channels], attributes: { spatial: int(0) } }),
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
        await writeFile(file, modelOf(one));
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
    const model = fromBinary(ModelProtoSchema, modelOf({ op: 'F', opset: 10, inputs: [fed([2, 3])] }));
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
    const model = fromBinary(ModelProtoSchema, modelOf({ op: 'If', opset: 10, inputs: [fed([2, 3])] }));
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
});
