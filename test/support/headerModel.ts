import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rawSafetensors } from './formatFiles';

/** Tensors by name: type as safetensors spells it, and lengths of the axes. */
export type HeaderTensors = Readonly<Record<string, readonly [dtype: string, ...shape: number[]]>>;

const bytesOf: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Bytes of a safetensors file with these tensors, all zero. */
export function headerSafetensors(tensors: HeaderTensors): Uint8Array {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [dtype, ...shape]] of Object.entries(tensors)) {
    const bytes = shape.reduce((product, length) => product * length, bytesOf[dtype] ?? 1);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  return rawSafetensors(new TextEncoder().encode(JSON.stringify(header)), offset);
}

/** Writes a Hugging Face folder with config.json and these tensors, all zero, and gives its path. */
export function writeHeaderModel(folder: string, name: string, tensors: HeaderTensors, config: unknown = { model_type: 'other' }): string {
  const directory = join(folder, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  writeFileSync(join(directory, 'model.safetensors'), headerSafetensors(tensors));
  return directory;
}
