// Tiny model files for the editor tests, written from the formats' own descriptions:
// safetensors (8-byte header length, JSON, data), GGUF version 3, ONNX (protobuf wire format of ModelProto).
import { Buffer } from 'node:buffer';

/** A float32 tensor with given values. */
export interface SmallTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

const floats = (values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes;
};

/** A wave, so that statistics and pictures have something to show. */
export const wave = (count: number): number[] => Array.from({ length: count }, (_, index) => Math.sin(index / 7) * (1 + (index % 5)));

/** A safetensors file. */
export function safetensorsFile(tensors: readonly SmallTensor[]): Buffer {
  const header: Record<string, unknown> = {};
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.length * 4] };
    offset += values.length * 4;
  }
  const json = Buffer.from(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...tensors.map(({ values }) => floats(values))]);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const ggufString = (text: string): Buffer => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

/** A GGUF file with an architecture, a name and float32 tensors; dimensions lie innermost first there. */
export function ggufFile(name: string, tensors: readonly SmallTensor[]): Buffer {
  const stringType = u32(8);
  const alignment = 32;
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
  const metadata = Object.entries({ 'general.architecture': 'llama', 'general.name': name });
  const data = tensors.map(({ values }) => pad(floats(values)));
  let offset = 0;
  const infos = tensors.map((tensor, index) => {
    const info = Buffer.concat([
      ggufString(tensor.name),
      u32(tensor.shape.length),
      ...[...tensor.shape].reverse().map(u64),
      u32(0),
      u64(offset),
    ]);
    offset += data[index]?.length ?? 0;
    return info;
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(metadata.length),
    ...metadata.map(([key, value]) => Buffer.concat([ggufString(key), stringType, ggufString(value)])),
    ...infos,
  ]);
  return Buffer.concat([pad(head), ...data]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}
const number = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
const message = (field: number, ...parts: readonly (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};
const valueInfo = (field: number, name: string, shape: readonly number[]): Buffer =>
  message(field, message(1, name), message(2, message(1, number(1, 1), message(2, ...shape.map((size) => message(1, number(1, size)))))));

/** An ONNX file: y = Relu(x MatMul weight), opset 13. */
export function onnxFile(weight: SmallTensor): Buffer {
  const [rows = 0, columns = 0] = weight.shape;
  const graph = message(
    7,
    message(1, message(1, 'x'), message(1, weight.name), message(2, 'product'), message(3, 'multiply'), message(4, 'MatMul')),
    message(1, message(1, 'product'), message(2, 'y'), message(3, 'clip'), message(4, 'Relu')),
    message(2, 'small'),
    message(5, ...weight.shape.map((size) => number(1, size)), number(2, 1), message(8, weight.name), message(9, floats(weight.values))),
    valueInfo(11, 'x', [1, rows]),
    valueInfo(12, 'y', [1, columns]),
  );
  return Buffer.concat([number(1, 8), message(2, 'test'), graph, message(8, message(1, ''), number(2, 13))]);
}
