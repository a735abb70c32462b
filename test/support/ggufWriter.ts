import type { DType } from '../../src/protocol/dtypes';

const typeNumbers: Readonly<Partial<Record<DType, number>>> = {
  float32: 0,
  float16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  bfloat16: 30,
};

/** A metadata value with its GGUF type. */
export type GgufField =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly int32s: readonly number[] };

/** A tensor to write; shape in the usual order. */
export interface GgufTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A GGUF file, version 3, alignment 32, written after the format's description. */
export function writeGguf(fields: Readonly<Record<string, GgufField>>, tensors: readonly GgufTensor[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(Object.keys(fields).length)];
  for (const [key, field] of Object.entries(fields)) parts.push(text(key), fieldBytes(field));
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(typeNumbers[dtype] as number), u64(offset));
    offset += Math.ceil(bytes.length / 32) * 32;
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, padding(header.length), ...tensors.flatMap(({ bytes }) => [Buffer.from(bytes), padding(bytes.length)])]);
}

function fieldBytes(field: GgufField): Buffer {
  if ('uint32' in field) return Buffer.concat([u32(4), u32(field.uint32)]);
  if ('float32' in field) return Buffer.concat([u32(6), f32(field.float32)]);
  if ('bool' in field) return Buffer.concat([u32(7), Buffer.from([field.bool ? 1 : 0])]);
  if ('text' in field) return Buffer.concat([u32(8), text(field.text)]);
  if ('texts' in field) return Buffer.concat([u32(9), u32(8), u64(field.texts.length), ...field.texts.map(text)]);
  return Buffer.concat([u32(9), u32(5), u64(field.int32s.length), ...field.int32s.map(u32)]);
}

function padding(length: number): Buffer {
  return Buffer.alloc((32 - (length % 32)) % 32);
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

function f32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
