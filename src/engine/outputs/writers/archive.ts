import { join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import { dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import { groupedValues } from '../../formats/archive/groupedData';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { archiveName, openArchive, type ArchiveContainer } from '../../formats/archive/openArchive';
import { graphName, writeEmptyGraph, writeFilledGraph } from '../../formats/archive/unpackedGraph';
import { ArchiveWriter } from '../../formats/archive/writer';
import type { LayerLayout } from '../../../protocol/report';
import { digestOfArrays, fingerprintOf, fingerprintOfMatrix } from '../planned/fingerprint';
import type { PlannedEntry } from '../planned/plannedStore';
import { sizeBits } from '../planned/plannedSizes';
import type { PlannedTensor } from '../planned/plannedTensor';
import { copyCompanions, valueTensor } from './copyTensors';
import type { OutputReader, OutputWriter, WriteJob, WrittenOutput } from './outputWriter';
import { layerBytes, outputBytes } from './sizes';

/**
 * Loomweight's own format: one file `model.loomq` with bit planes, the smallest there is. A model with a config keeps it and its tokenizer beside; of an ONNX model
 * the graph is beside, without the weights that the archive holds.
 */
export const archive: OutputWriter = {
  id: 'archive',
  label: 'Archive',
  summary: "Loomweight's own format of bit planes: smallest on disk, any width per group. Opens in Loomweight only.",
  runsAsFloat: true,
  comparing: 3.9,
  mixesWidths: true,

  check: (_source, layers) => {
    for (const layer of layers.values()) {
      const reason = archive.refuses(layer);
      if (reason)
        throw new LoomweightError('invalid-argument', `Tensor '${layer.name}': ${reason}.`, { tensor: layer.name, format: 'archive' });
    }
  },

  refuses: ({ layout }) => {
    if (layout.kind === 'sparse') return 'archives cannot store sparse tensors; use the format onnx-packed or hf';
    if (layout.kind !== 'grouped') return undefined;
    if (layout.zeroPointsAreFloat) return 'archives store integer zero points only; use the format onnx-packed or hf';
    return layout.columnsAreSorted ? 'archives store groups of adjacent columns only; use the format onnx-packed or hf' : undefined;
  },

  // Each plane of each width fills its last byte.
  storedBits: ({ size }, groupBits) => sizeBits(size) + (groupBits ? 8 * 2 * 40 : 0),

  write: writeArchive,

  estimate: (source, layers) => ({ bytes: outputBytes(source, layers, layerBytes), extraMemory: 0 }),
};

/** Writes archive and companions and gives the means to read them back. */
async function writeArchive({ source, planned, folder, signal, stored }: WriteJob): Promise<WrittenOutput> {
  const { container } = source;
  const path = join(folder, archiveName);
  const onnx = container.format === 'onnx';
  const layouts = new Map<string, LayerLayout>();
  const values: string[] = [];
  const writer = await ArchiveWriter.create(path, { architecture: source.architecture });
  try {
    for (const [name, { entry }] of source.tensors) {
      throwIfCancelled(signal);
      if (planned.isCompressed(name)) {
        const written = planned.entry(name)!;
        stored(name, await addTensor(writer, written, await planned.get(name)));
        layouts.set(name, layoutFor(written));
      } else if (!onnx || planned.has(name)) {
        const tensor = valueTensor(source, planned, name);
        await writer.addPlain(name, tensor.dtype, entry.shape, tensor.chunks());
        values.push(name);
      }
    }
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  if (onnx) await writeEmptyGraph(container.path, join(folder, graphName), [...layouts.keys(), ...values]);
  await copyCompanions(source, folder);
  return {
    primary: container.config === undefined ? archiveName : '.',
    integerActivations: false,
    layouts,
    values,
    expected: (tensor) => (tensor.kind === 'learned' ? fingerprintOfLearned(tensor.tensor) : fingerprintOf(tensor)),
    open: async () => archiveReader(await openArchive(path)),
    ...(onnx
      ? {
          unpackTo: async (file: string) => {
            const written = await openArchive(path);
            try {
              await writeFilledGraph(written, join(folder, graphName), file);
            } finally {
              await written.close();
            }
          },
        }
      : {}),
  };
}

function addTensor(writer: ArchiveWriter, { name, storedShape, transposed }: PlannedEntry, tensor: PlannedTensor): Promise<number> {
  if (tensor.kind === 'learned') return writer.addLearned(tensor.tensor);
  if (tensor.kind !== 'grouped') throw new Error(`Archives cannot store a tensor of kind ${tensor.kind}.`);
  const { kind: _kind, floatZeroPoints: _float, columnOrder: _order, ...matrix } = tensor;
  // Rows of several axes are one axis in an archive: the graph beside it has the shape.
  const shape = transposed || storedShape[0] !== matrix.rows ? [matrix.rows, matrix.columns] : storedShape;
  return writer.addGrouped({ name, shape, transposed, ...matrix });
}

/** The table of the archive says everything else. */
function layoutFor({ layout, transposed }: PlannedEntry): LayerLayout {
  const { rows, columns } = layout as { readonly rows: number; readonly columns: number };
  return { form: 'archive', rows, columns, ...(transposed ? { transposed: true } : {}) };
}

function archiveReader(archived: ArchiveContainer): OutputReader {
  return {
    fingerprint: async (name) =>
      archived.describe(name).kind === 'learned'
        ? fingerprintOfLearned(await archived.readLearned(name))
        : fingerprintOfMatrix(await archived.readGrouped(name)),
    weights: async (name, target) => {
      if (archived.describe(name).kind === 'learned') return dequantizeLearned(await archived.readLearned(name), target);
      const values = groupedValues(await archived.readGrouped(name));
      return target ? (target.set(values), target) : values;
    },
    bytesOf: (name) => archived.tensors.get(name)?.bytes,
    read: (name, range) => archived.read(name, range),
    close: () => archived.close(),
  };
}

/** Levels and widths as well: the archive keeps them as they were learned. */
function fingerprintOfLearned(tensor: LearnedTensor): string {
  return digestOfArrays([tensor.levels, tensor.bits, dequantizeLearned(tensor)]);
}
