import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { encodeFromFloat32 } from '../../formats/decode';
import type { TensorContainer } from '../../formats/container';
import type { DType } from '../../../protocol/dtypes';
import type { ModelSource } from '../../models/modelSource';
import type { PlainValues } from '../planned/plannedTensor';
import type { PlannedStore } from '../planned/plannedStore';

/** Bytes read from the source at a time for tensors that are copied. */
export const copyChunk = 16 * 2 ** 20;

/** A tensor of the source, unchanged, in pieces. */
export async function* chunksOf(container: TensorContainer, name: string, bytes: number): AsyncIterable<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += copyChunk)
    yield await container.read(name, { offset, length: Math.min(copyChunk, bytes - offset) });
}

/** A tensor that is written as values: the store's plain one, or the source's. */
export interface ValueTensor {
  readonly dtype: DType;
  readonly bytes: number;
  /** In one piece or several. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** What is written for a tensor that is not compressed. `keepType`: in the type of the source also where the store has another. */
export function valueTensor({ container, tensors }: ModelSource, planned: PlannedStore, name: string, keepType = false): ValueTensor {
  const { entry } = tensors.get(name)!;
  const plain = planned.entry(name);
  if (plain?.layout.kind !== 'plain')
    return { dtype: entry.dtype, bytes: entry.bytes, chunks: () => chunksOf(container, name, entry.bytes) };
  const dtype = keepType ? entry.dtype : plain.layout.dtype;
  return {
    dtype,
    bytes: keepType ? entry.bytes : Math.ceil(plain.size.codeBits / 8),
    chunks: async function* () {
      yield encodeFromFloat32(dtype, ((await planned.get(name)) as PlainValues).values);
    },
  };
}

/** Copies tokenizer, config and the like beside the weights, and writes those that the source made itself; `except` by name. */
export async function copyCompanions({ container }: ModelSource, folder: string, except: readonly string[] = []): Promise<void> {
  for (const file of container.companions ?? []) if (!except.includes(basename(file))) await copyFile(file, join(folder, basename(file)));
  for (const [name, text] of container.generatedCompanions ?? []) if (!except.includes(name)) await writeFile(join(folder, name), text);
}
