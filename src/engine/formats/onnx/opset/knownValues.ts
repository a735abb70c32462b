import {
  TensorProto_DataLocation,
  TensorProto_DataType,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type TensorProto,
  type ValueInfoProto,
} from '../generated/onnx';
import { constantTensor } from '../tensorMessages';
import { bodiesOf, eachGraph, eachNode, eachTensor } from '../walk';
import type { KnownValues } from './oldNode';

const otherFloats: ReadonlySet<number> = new Set([
  TensorProto_DataType.FLOAT16,
  TensorProto_DataType.DOUBLE,
  TensorProto_DataType.BFLOAT16,
]);

/** A list of nodes with names of its own: a graph, a body, or a function. */
export type NodeList = GraphProto | FunctionProto;

/** What one list of nodes says of a value that it makes. */
interface Known {
  type?: number;
  rank?: number;
  constant?: TensorProto;
}

/** The values that a list of nodes makes, and those of the list around it: a body sees both, and its own come first. */
interface Scope {
  readonly own: ReadonlyMap<string, Known>;
  readonly outer: Scope | undefined;
}

/**
 * What the messages of a model tell of its values, without computing types: one pass over it. Names belong to a list of nodes: both branches of an If, or two
 * functions, may use one name for different values.
 */
export function knownValues(model: ModelProto): (list: NodeList) => KnownValues {
  const fallback = floatsAreFloat32(model) ? TensorProto_DataType.FLOAT : undefined;
  const known = new Map<NodeList, KnownValues>();
  const add = (list: NodeList, outer: Scope | undefined): { readonly used: ReadonlySet<string>; readonly scope: Scope } => {
    const scope: Scope = { own: madeIn(list), outer };
    const used = new Set(list.output.map((output) => (typeof output === 'string' ? output : output.name)));
    for (const node of list.node) {
      for (const name of node.input) used.add(name);
      // What a body takes may be a value of this list.
      for (const body of bodiesOf(node)) for (const name of add(body, scope).used) used.add(name);
    }
    known.set(list, valuesOf(scope, used, fallback));
    return { used, scope };
  };
  const main = model.graph && add(model.graph, undefined).scope;
  for (const { initialization, algorithm } of model.trainingInfo)
    for (const graph of [initialization, algorithm]) if (graph) add(graph, main);
  for (const definition of model.functions) add(definition, undefined);
  return (list) => known.get(list) as KnownValues;
}

function valuesOf(scope: Scope, used: ReadonlySet<string>, fallback: number | undefined): KnownValues {
  const find = (name: string): Known | undefined => {
    for (let at: Scope | undefined = scope; at; at = at.outer) {
      const found = at.own.get(name);
      if (found) return found;
    }
    return undefined;
  };
  return {
    isUsed: (name) => used.has(name),
    // Only floats are asked for: where a model mentions one type of them, every one has it.
    elementType: (name) => find(name)?.type ?? fallback,
    rank: (name) => find(name)?.rank,
    floats: (name) => {
      const tensor = find(name)?.constant;
      return tensor && floatsOf(tensor);
    },
  };
}

/** Every value that a list makes or is given, with what it says of it. */
function madeIn(list: NodeList): ReadonlyMap<string, Known> {
  const own = new Map<string, Known>();
  const isGraph = list.$typeName === 'onnx.GraphProto';
  for (const input of list.input) own.set(typeof input === 'string' ? input : input.name, {});
  for (const { output } of list.node) for (const name of output) own.set(name, {});
  if (isGraph) for (const { name } of list.initializer) own.set(name, {});
  for (const { name, type } of isGraph ? [...list.input, ...list.output, ...list.valueInfo] : list.valueInfo) {
    const value = own.get(name);
    if (value === undefined || type?.value.case !== 'tensorType') continue;
    const { elemType, shape } = type.value.value;
    value.type = elemType;
    if (shape !== undefined) value.rank = shape.dim.length;
  }
  const constant = (name: string | undefined, tensor: TensorProto) => {
    if (name !== undefined) own.set(name, { type: tensor.dataType, rank: tensor.dims.length, constant: tensor });
  };
  if (isGraph) for (const tensor of list.initializer) constant(tensor.name, tensor);
  for (const node of list.node) {
    const tensor = constantTensor(node);
    if (tensor !== undefined) constant(node.output[0], tensor);
  }
  return own;
}

/** True if the model mentions no type of floating-point numbers but float32. */
function floatsAreFloat32(model: ModelProto): boolean {
  let only = true;
  const note = (type: number) => {
    if (otherFloats.has(type)) only = false;
  };
  const declared = ({ type }: ValueInfoProto) => {
    if (type?.value.case === 'tensorType') note(type.value.value.elemType);
  };
  eachGraph(model, ({ input, output, valueInfo }) => [...input, ...output, ...valueInfo].forEach(declared));
  for (const { valueInfo } of model.functions) valueInfo.forEach(declared);
  // Types that operators are told: `to` of Cast, `dtype` of generators.
  eachNode(model, ({ attribute }) => {
    for (const { name, i } of attribute) if (name === 'to' || name === 'dtype') note(Number(i));
  });
  eachTensor(model, ({ dataType }) => note(dataType));
  return only;
}

function floatsOf({ dataType, dims, rawData, floatData, dataLocation }: TensorProto): readonly number[] | undefined {
  if (dataType !== TensorProto_DataType.FLOAT || dataLocation === TensorProto_DataLocation.EXTERNAL) return undefined;
  if (floatData.length > 0) return floatData;
  const count = dims.reduce((product, length) => product * Number(length), 1);
  if (rawData.byteLength !== 4 * count) return undefined;
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: count }, (_, index) => view.getFloat32(4 * index, true));
}
