import { create, toBinary } from '@bufbuild/protobuf';
import { encodeAttribute, encodeTensor } from '../../src/engine/formats/onnx/encodeModel';
import { ModelProtoSchema, NodeProtoSchema } from '../../src/engine/formats/onnx/generated/onnx';
import { encodeTypeProto } from '../../src/engine/formats/onnx/typeProto';
import type { CaseInput, OldOperatorCase } from './oldOperatorCases';

/** The file of one node of an old opset, whose outputs are 'y0', 'y1' and so on. */
export function oldOperatorModel({ op, opset, inputs, attributes = {}, outputs = 1, hidden = false }: OldOperatorCase): Uint8Array {
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
