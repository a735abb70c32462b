import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { LoomweightError } from '../../../protocol/errors';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Attribute, Graph, Value } from '../../graph/graph';
import { formatShape } from '../../graph/shapes';
import type { ConstantData } from '../../graph/types';
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type TensorProto,
  type ValueInfoProto,
} from './generated/onnx';
import { encodeTypeProto } from './typeProto';
import { stringsOfBytes } from './tensorData';
import { tooLargeForOneFile } from './refusals';

/** Description of a written model besides its graph. */
export interface ModelDescription {
  /** Default `loomweight`. */
  readonly producer?: string;
  readonly producerVersion?: string;
  readonly docString?: string;
  /** Arbitrary keys and values (`metadata_props`). */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Largest protobuf message that readers accept. */
export const largestMessage = 2 ** 31 - 1;

/**
 * The graph as the bytes of an ONNX file. External constants are referenced, not written. Throws `unsupported` if the inline constants
 * exceed protobuf's limit of 2 GiB - 1; `writeOnnxModel` moves them to a separate file.
 */
export function encodeModel(graph: Graph, description: ModelDescription = {}): Uint8Array {
  const inline = inlineBytes(graph);
  if (inline >= largestMessage) throw tooLargeForOneFile(`graph '${graph.name}' has constants`, inline, { graph: graph.name });
  return toBinary(ModelProtoSchema, modelProtoOf(graph, description));
}

/** Total bytes of the inline constants of a graph and its bodies. */
export function inlineBytes(graph: Graph): number {
  let total = 0;
  for (const data of graph.constants.values()) if (data.kind === 'inline') total += data.bytes.byteLength;
  for (const node of graph.nodes)
    for (const attribute of Object.values(node.attributes)) if (attribute.kind === 'graph') total += inlineBytes(attribute.value);
  return total;
}

/** The graph as a protobuf message of the schema. */
export function modelProtoOf(graph: Graph, description: ModelDescription = {}): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: BigInt(irVersionFor(graph.opsets[''] ?? 21)),
    producerName: description.producer ?? 'loomweight',
    ...(description.producerVersion === undefined ? {} : { producerVersion: description.producerVersion }),
    ...(description.docString === undefined ? {} : { docString: description.docString }),
    opsetImport: Object.entries(graph.opsets).map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
    ),
    metadataProps: Object.entries(description.metadata ?? {}).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
    graph: graphProtoOf(graph),
  });
}

/**
 * The lowest IR version that supports an opset, from ONNX's table of releases: readers refuse versions that they do not know, so no newer
 * one than needed is written. Below opset 15 it stays 8, which allows initialisers that are not inputs.
 */
export function irVersionFor(opset: number): number {
  if (opset >= 28) return 14;
  if (opset >= 25) return 13;
  if (opset >= 24) return 12;
  if (opset >= 23) return 11;
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  return 8;
}

function graphProtoOf(graph: Graph): GraphProto {
  return create(GraphProtoSchema, {
    name: graph.name,
    input: graph.inputs.map(valueInfoOf),
    output: graph.outputs.map(valueInfoOf),
    initializer: [...graph.constants].map(([value, data]) => encodeTensor(data, value.name)),
    node: graph.nodes.map((node) =>
      create(NodeProtoSchema, {
        name: node.name,
        opType: node.op,
        ...(node.domain === '' ? {} : { domain: node.domain }),
        input: trimmed(node.inputs),
        output: trimmed(node.outputs),
        attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
      }),
    ),
  });
}

/** Names of values; omitted ones are empty strings, trailing ones are not written at all. */
function trimmed(values: readonly (Value | undefined)[]): string[] {
  return withoutTrailing(values.map((value) => value?.name ?? ''));
}

/** Names of inputs or outputs without the empty ones at the end, which stand for omitted values. */
export function withoutTrailing(names: readonly string[]): string[] {
  const kept = [...names];
  while (kept.at(-1) === '') kept.pop();
  return kept;
}

function valueInfoOf(value: Value): ValueInfoProto {
  const type = encodeTypeProto(value.type);
  return create(ValueInfoProtoSchema, { name: value.name, ...(type === undefined ? {} : { type }) });
}

/** An attribute message. Integers beyond 64 bits are clamped (ONNX's "to the end" is 2^63 - 1). */
export function encodeAttribute(name: string, attribute: Attribute): AttributeProto {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  switch (attribute.kind) {
    case 'int':
      return create(AttributeProtoSchema, { name, type: Kind.INT, i: toInt64(attribute.value) });
    case 'float':
      return create(AttributeProtoSchema, { name, type: Kind.FLOAT, f: attribute.value });
    case 'string':
      return create(AttributeProtoSchema, { name, type: Kind.STRING, s: utf8(attribute.value) });
    case 'tensor':
      return create(AttributeProtoSchema, { name, type: Kind.TENSOR, t: encodeTensor(attribute.value, '') });
    case 'graph':
      return create(AttributeProtoSchema, { name, type: Kind.GRAPH, g: graphProtoOf(attribute.value) });
    case 'ints':
      return create(AttributeProtoSchema, { name, type: Kind.INTS, ints: attribute.value.map(toInt64) });
    case 'floats':
      return create(AttributeProtoSchema, { name, type: Kind.FLOATS, floats: [...attribute.value] });
    case 'strings':
      return create(AttributeProtoSchema, { name, type: Kind.STRINGS, strings: attribute.value.map(utf8) });
    case 'opaque':
      return fromBinary(AttributeProtoSchema, attribute.value);
  }
}

/** A tensor message: raw data, external data, or strings. */
export function encodeTensor(data: ConstantData, name: string): TensorProto {
  const dataType = elementTypeOf(data.dtype);
  if (dataType === undefined)
    throw new LoomweightError('unsupported', `ONNX has no element type ${data.dtype} (tensor '${name}' ${formatShape(data.shape)}).`, {
      tensor: name,
      dtype: data.dtype,
    });
  const common = { ...(name === '' ? {} : { name }), dims: data.shape.map(BigInt), dataType };
  if (data.kind === 'inline') {
    return create(
      TensorProtoSchema,
      data.dtype === 'string' ? { ...common, stringData: stringsOfBytes(data.bytes) } : { ...common, rawData: data.bytes },
    );
  }
  const entries = { location: data.location, offset: String(data.offset), length: String(data.length) };
  return create(TensorProtoSchema, {
    ...common,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  });
}

function toInt64(value: number): bigint {
  if (value >= 2 ** 63) return 2n ** 63n - 1n;
  if (value <= -(2 ** 63)) return -(2n ** 63n);
  return BigInt(value);
}
