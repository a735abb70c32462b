/** Writes safetensors files chunk by chunk; names, shapes and types are known before the first byte of data. */
import { open, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { byteLength, dtypes, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { quoteName } from '../malformed';
import { safetensorsNameOf } from './dtypeNames';

/** One tensor to be written. `file` is its shard; `model.safetensors` if absent. */
export interface PlannedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file?: string;
}

interface Slot {
  readonly plan: PlannedTensor;
  readonly handle: FileHandle;
  readonly offset: number;
  readonly bytes: number;
  written: number;
}

/**
 * Writes into a folder: one file, or the planned shards with `model.safetensors.index.json`. Tensors may be filled in any order, each from
 * its start; memory is one chunk. The folder should be temporary (createOutputFolder).
 */
export class SafetensorsWriter {
  private readonly slots = new Map<string, Slot>();
  private readonly handles: FileHandle[] = [];
  private readonly fileNames: string[] = [];

  private constructor(private readonly folder: string) {}

  /** Writes all headers. Errors: `invalid-argument` for duplicate names and types that safetensors does not have. */
  static async create(
    folder: string,
    plans: readonly PlannedTensor[],
    metadata: Readonly<Record<string, string>> = { format: 'pt' },
  ): Promise<SafetensorsWriter> {
    const writer = new SafetensorsWriter(folder);
    try {
      for (const [file, members] of groupByFile(plans)) await writer.startFile(file, members, metadata);
      if (writer.slots.size !== plans.length)
        throw new LoomweightError('invalid-argument', 'Two tensors of the safetensors output have the same name.');
      return writer;
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Appends bytes (little-endian) to a tensor. Errors: `invalid-argument` beyond its planned size; `insufficient-disk`. */
  async write(name: string, chunk: Uint8Array): Promise<void> {
    const slot = this.slots.get(name);
    if (!slot)
      throw new LoomweightError('invalid-argument', `Tensor ${quoteName(name)} was not planned for this output.`, { tensor: name });
    if (slot.written + chunk.length > slot.bytes)
      throw new LoomweightError(
        'invalid-argument',
        `Tensor ${quoteName(name)} has ${slot.bytes} bytes, got ${slot.written + chunk.length}.`,
        {
          tensor: name,
        },
      );
    await writeFully(slot.handle, chunk, slot.offset + slot.written);
    slot.written += chunk.length;
  }

  /** Checks that every tensor is complete, writes the index if there are shards, syncs and closes. Returns the names of the files. */
  async finish(): Promise<readonly string[]> {
    for (const { plan, bytes, written } of this.slots.values()) {
      if (written !== bytes)
        throw new LoomweightError('internal', `Tensor ${quoteName(plan.name)} needs ${bytes} bytes, but only ${written} were written.`, {
          tensor: plan.name,
        });
    }
    for (const handle of this.handles) await handle.sync();
    await this.abort();
    if (this.fileNames.length === 1 && this.fileNames[0] === 'model.safetensors') return this.fileNames;
    const slots = [...this.slots.values()];
    const index = {
      metadata: { total_size: slots.reduce((sum, { bytes }) => sum + bytes, 0) },
      weight_map: Object.fromEntries(slots.map(({ plan }) => [plan.name, fileOf(plan)])),
    };
    await writeFile(path.join(this.folder, 'model.safetensors.index.json'), `${JSON.stringify(index, undefined, 2)}\n`);
    return [...this.fileNames, 'model.safetensors.index.json'];
  }

  /** Closes the unfinished files; the owner of the folder removes them. */
  async abort(): Promise<void> {
    await Promise.all(this.handles.splice(0).map((handle) => handle.close()));
  }

  private async startFile(file: string, members: readonly PlannedTensor[], metadata: Readonly<Record<string, string>>): Promise<void> {
    const { header, offsets } = buildHeader(members, metadata);
    const handle = await open(path.join(this.folder, file), 'wx');
    this.handles.push(handle);
    this.fileNames.push(file);
    await writeFully(handle, header, 0);
    let end = header.length;
    for (const plan of members) {
      const bytes = byteLength(plan.dtype, plan.shape);
      const offset = header.length + (offsets.get(plan.name) ?? 0);
      end = Math.max(end, offset + bytes);
      this.slots.set(plan.name, { plan, handle, offset, bytes, written: 0 });
    }
    await handle.truncate(end);
  }
}

/** Header bytes, padded with spaces so that the data starts at a multiple of 8, and the position of each tensor's data after it. */
export function buildHeader(
  members: readonly PlannedTensor[],
  metadata: Readonly<Record<string, string>>,
): { readonly header: Uint8Array; readonly offsets: ReadonlyMap<string, number> } {
  // Wide elements first keeps every tensor aligned to its element size; the sort is stable, so equal widths keep their order.
  const ordered = [...members].sort((a, b) => elementWidth(b.dtype) - elementWidth(a.dtype));
  const fields: string[] = [];
  const offsets = new Map<string, number>();
  let position = 0;
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  for (const { name, dtype, shape } of ordered) {
    const dtypeName = safetensorsNameOf(dtype);
    if (dtypeName === undefined)
      throw new LoomweightError('invalid-argument', `Safetensors cannot store ${dtype} (tensor ${quoteName(name)}). Convert it first.`, {
        tensor: name,
        dtype,
      });
    const end = position + byteLength(dtype, shape);
    offsets.set(name, position);
    fields.push(`${JSON.stringify(name)}:{"dtype":"${dtypeName}","shape":${JSON.stringify(shape)},"data_offsets":[${position},${end}]}`);
    position = end;
  }
  const json = Buffer.from(`{${fields.join(',')}}`);
  const padded = Math.ceil((8 + json.length) / 8) * 8;
  const header = Buffer.alloc(padded, ' ');
  header.writeBigUInt64LE(BigInt(padded - 8), 0);
  json.copy(header, 8);
  return { header, offsets };
}

function elementWidth(dtype: DType): number {
  const { blockSize, blockBytes } = dtypes[dtype];
  return blockSize === 1 ? blockBytes : 1;
}

function fileOf(plan: PlannedTensor): string {
  return plan.file ?? 'model.safetensors';
}

function groupByFile(plans: readonly PlannedTensor[]): ReadonlyMap<string, readonly PlannedTensor[]> {
  const groups = new Map<string, PlannedTensor[]>();
  for (const plan of plans) {
    const group = groups.get(fileOf(plan));
    if (group) group.push(plan);
    else groups.set(fileOf(plan), [plan]);
  }
  if (groups.size === 0) groups.set('model.safetensors', []);
  return groups;
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    done += bytesWritten;
  }
}
