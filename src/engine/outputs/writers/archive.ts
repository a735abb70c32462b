import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { throwIfCancelled } from '../../../protocol/errors';
import { archiveName, openArchive, type ArchiveContainer } from '../../formats/archive/openArchive';
import { groupedValues } from '../../formats/archive/groupedData';
import { graphName, writeEmptyGraph, writeFilledGraph } from '../../formats/archive/unpackedGraph';
import { ArchiveWriter } from '../../formats/archive/writer';
import { dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import { digestOf, digestOfBytes } from '../../compress/quantizeTensor';
import type { CompressSource } from '../../models/modelSource';
import type { ExportResult, Exporter } from './exporter';
import { outputBytes, plannedBytes } from './sizes';

/** Bytes read from the source at a time for tensors that are copied. */
const copyChunk = 16 * 2 ** 20;

/** What goes into an archive. */
export interface ArchiveJob {
  readonly source: CompressSource;
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  /** True for tensors that are stored packed; the others are stored as the source gives them. */
  packed(name: string): boolean;
  /** Writes one packed tensor and gives the fingerprint that it must have when it is read back. */
  add(writer: ArchiveWriter, name: string): Promise<string>;
  /** The fingerprint of a packed tensor in the finished archive. */
  digest(archive: ArchiveContainer, name: string): Promise<string>;
  /** ONNX models: float tensors that are taken out of the graph as well. */
  readonly moved?: ReadonlySet<string>;
}

/**
 * Loomweight's own format: one file `model.loomq` with bit planes, the smallest there is. A model with a config keeps it and its tokenizer beside; of an ONNX model
 * the graph lies beside, without the weights that the archive holds.
 */
export const archive: Exporter = {
  id: 'archive',
  label: 'Archive',
  summary: "Loomweight's own file of bit planes: smallest on disk, any width for every group. Opens in Loomweight only.",

  check: () => undefined,

  // Each plane of each width fills its last byte.
  mixedBits: (_planned, _groupBits, { codeBits, scaleBits, zeroPointBits }) => codeBits + scaleBits + zeroPointBits + 8 * 2 * 40,

  write: async (job) => {
    const { source, plan, folder, signal } = job;
    return writeArchive({
      source,
      folder,
      signal,
      packed: (name) => plan.has(name),
      add: async (writer, name) => {
        const matrix = await job.quantize(name);
        const { transposed = false, entry } = source.tensors.get(name)!;
        const shape = transposed ? [matrix.rows, matrix.columns] : entry.shape;
        job.stored(name, await writer.addGrouped({ name, shape, transposed, ...matrix }));
        return digestOf(matrix);
      },
      digest: async (written, name) => digestOf(await written.readGrouped(name)),
    });
  },

  estimate: (source, plan) => ({ bytes: outputBytes(source, plan, plannedBytes), extraMemory: 0 }),
};

/** Writes archive and companions and gives the means to read them back. */
export async function writeArchive(job: ArchiveJob): Promise<ExportResult> {
  const { source, folder, signal } = job;
  const { container } = source;
  const path = join(folder, archiveName);
  const onnx = container.format === 'onnx';
  const packed: [name: string, digest: string][] = [];
  const plain: string[] = [];
  const writer = await ArchiveWriter.create(path, { architecture: source.architecture });
  try {
    for (const [name, { entry }] of source.tensors) {
      throwIfCancelled(signal);
      if (job.packed(name)) packed.push([name, await job.add(writer, name)]);
      else if (!onnx || job.moved?.has(name)) {
        await writer.addPlain(name, entry.dtype, entry.shape, chunksOf(source, name));
        plain.push(name);
      }
    }
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  if (onnx) await writeEmptyGraph(container.path, join(folder, graphName), [...packed.map(([name]) => name), ...plain]);
  for (const file of container.companions ?? []) await copyFile(file, join(folder, basename(file)));
  for (const [name, text] of container.generatedCompanions ?? []) await writeFile(join(folder, name), text);
  return {
    primary: container.config === undefined ? archiveName : '.',
    integerActivations: false,
    readWeights: (name, target) =>
      using(path, async (written) => {
        const values =
          written.describe(name).kind === 'learned'
            ? dequantizeLearned(await written.readLearned(name), target)
            : groupedValues(await written.readGrouped(name));
        return target && values !== target ? (target.set(values), target) : values;
      }),
    verifyBytes: (abort) =>
      using(path, async (written) => {
        const mismatches: string[] = [];
        for (const [name, digest] of packed) {
          throwIfCancelled(abort);
          const found = await job.digest(written, name).catch(() => undefined);
          if (found !== digest) mismatches.push(name);
        }
        for (const name of plain) {
          throwIfCancelled(abort);
          if (!(await sameBytes(written, source, name))) mismatches.push(name);
        }
        return { tensors: packed.length + plain.length, mismatches };
      }),
    ...(onnx ? { unpackTo: (file: string) => using(path, (written) => writeFilledGraph(written, join(folder, graphName), file)) } : {}),
  };
}

async function using<T>(path: string, action: (container: ArchiveContainer) => Promise<T>): Promise<T> {
  const container = await openArchive(path);
  try {
    return await action(container);
  } finally {
    await container.close();
  }
}

async function sameBytes(written: ArchiveContainer, { container, tensors }: CompressSource, name: string): Promise<boolean> {
  const { bytes } = tensors.get(name)!.entry;
  if (written.tensors.get(name)?.bytes !== bytes) return false;
  for (let offset = 0; offset < bytes; offset += copyChunk) {
    const range = { offset, length: Math.min(copyChunk, bytes - offset) };
    if (digestOfBytes(await written.read(name, range)) !== digestOfBytes(await container.read(name, range))) return false;
  }
  return true;
}

async function* chunksOf({ container, tensors }: CompressSource, name: string): AsyncIterable<Uint8Array> {
  const { bytes } = tensors.get(name)!.entry;
  for (let offset = 0; offset < bytes; offset += copyChunk)
    yield await container.read(name, { offset, length: Math.min(copyChunk, bytes - offset) });
}
