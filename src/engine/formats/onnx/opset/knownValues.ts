import { TensorProto_DataLocation, TensorProto_DataType, type GraphProto, type ModelProto, type TensorProto } from '../generated/onnx';
import { constantTensor } from '../tensorMessages';
import { eachGraph, eachNode, eachTensor } from '../walk';
import type { KnownValues } from './oldNode';

const otherFloats: ReadonlySet<number> = new Set([
  TensorProto_DataType.FLOAT16,
  TensorProto_DataType.DOUBLE,
  TensorProto_DataType.BFLOAT16,
]);

/** What the messages of a model tell of its values, without computing types: one pass over it. */
export function knownValues(model: ModelProto): KnownValues {
  const used = new Set<string>();
  const types = new Map<string, number>();
  const ranks = new Map<string, number>();
  const constants = new Map<string, TensorProto>();
  let onlyFloat32 = true;
  const note = (type: number) => {
    if (otherFloats.has(type)) onlyFloat32 = false;
  };
  const declared = ({ input, output, valueInfo, initializer }: GraphProto) => {
    for (const { name } of output) used.add(name);
    for (const { name, type } of [...input, ...output, ...valueInfo]) {
      if (type?.value.case !== 'tensorType') continue;
      const { elemType, shape } = type.value.value;
      types.set(name, elemType);
      note(elemType);
      if (shape !== undefined) ranks.set(name, shape.dim.length);
    }
    for (const tensor of initializer) constants.set(tensor.name, tensor);
  };
  eachGraph(model, declared);
  for (const { output } of model.functions) for (const name of output) used.add(name);
  eachNode(model, (node) => {
    for (const name of node.input) used.add(name);
    const tensor = constantTensor(node);
    if (tensor !== undefined && node.output[0] !== undefined) constants.set(node.output[0], tensor);
    // Types that operators are told: `to` of Cast, `dtype` of generators.
    for (const { name, i } of node.attribute) if (name === 'to' || name === 'dtype') note(Number(i));
  });
  eachTensor(model, ({ dataType }) => note(dataType));
  for (const [name, { dataType, dims }] of constants) {
    types.set(name, dataType);
    ranks.set(name, dims.length);
  }
  return {
    isUsed: (name) => used.has(name),
    // Only floats are asked for: where a model mentions one type of them, every one has it.
    elementType: (name) => types.get(name) ?? (onlyFloat32 ? TensorProto_DataType.FLOAT : undefined),
    rank: (name) => ranks.get(name),
    floats: (name) => {
      const tensor = constants.get(name);
      return tensor && floatsOf(tensor);
    },
  };
}

function floatsOf({ dataType, dims, rawData, floatData, dataLocation }: TensorProto): readonly number[] | undefined {
  if (dataType !== TensorProto_DataType.FLOAT || dataLocation === TensorProto_DataLocation.EXTERNAL) return undefined;
  if (floatData.length > 0) return floatData;
  const count = dims.reduce((product, length) => product * Number(length), 1);
  if (rawData.byteLength !== 4 * count) return undefined;
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: count }, (_, index) => view.getFloat32(4 * index, true));
}
