import { basename, join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { LayerLayout } from '../../../protocol/report';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import type { TensorContainer } from '../../formats/container';
import { SafetensorsWriter, type PlannedTensor as ListedTensor } from '../../formats/safetensors/writer';
import { editModel } from '../../formats/onnx/editModel';
import { transposeBack, transposeInto } from '../../kernels/host/transpose';
import type { ModelSource } from '../../models/modelSource';
import { openContainer } from '../../models/openContainer';
import { dequantizePlanned } from '../planned/dequantize';
import { digestOfBytes } from '../planned/fingerprint';
import { sizeBits } from '../planned/plannedSizes';
import type { PlannedEntry, PlannedStore } from '../planned/plannedStore';
import type { PlannedTensor } from '../planned/plannedTensor';
import { copyCompanions, valueTensor } from './copyTensors';
import type { OutputReader, OutputWriter, WriteJob, WrittenOutput } from './outputWriter';
import { outputBytes } from './sizes';

/**
 * Dequantised weights in the type of the source, sharded as the source: what other tools open as an ordinary model. Nothing is smaller on
 * disk; it shows what a method does to a model. A trained ONNX model is written as an ONNX model.
 */
export const huggingFace: OutputWriter = {
  id: 'hf',
  label: 'Hugging Face',
  dequantised: true,
  runsAsFloat: true,
  keepsTypes: true,
  comparing: 3,
  mixesWidths: true,
  summary: 'Dequantised weights in the source dtype, as safetensors with config and tokenizer. Opens everywhere, but is not smaller.',

  check: ({ container }, _layers, { trained = false } = {}) => {
    if (container.format === 'safetensors' || container.config !== undefined || (trained && container.format === 'onnx')) return;
    throw new LoomweightError(
      'unsupported',
      `The format hf requires a model in safetensors, but ${container.path} is ${container.format === 'onnx' ? 'an ONNX model: use onnx, onnx-fast or onnx-packed' : `a ${container.format} file: convert it first`}.`,
      { format: 'hf', source: container.format },
    );
  },

  refuses: () => undefined,
  storedBits: ({ size }) => sizeBits(size),
  write: (job) => (job.source.container.format === 'onnx' ? writeOnnxValues(job) : writeDirectory(job)),

  estimate: (source, layers) => ({
    bytes: outputBytes(source, layers, ({ name }) => source.tensors.get(name)!.entry.bytes),
    extraMemory: 0,
  }),
};

async function writeDirectory(job: WriteJob): Promise<WrittenOutput> {
  const { source, folder, planned } = job;
  const layouts = new Map<string, LayerLayout>();
  const values: string[] = [];
  const writer = await SafetensorsWriter.create(folder, listedTensors(source), metadataOf(source));
  try {
    for (const name of source.tensors.keys()) {
      throwIfCancelled(job.signal);
      if (planned.isCompressed(name)) {
        const entry = planned.entry(name)!;
        const bytes = storedBytes(source, entry, await planned.get(name));
        await writer.write(name, bytes);
        job.stored(name, bytes.byteLength);
        layouts.set(name, layoutFor(entry));
        continue;
      }
      for await (const bytes of valueTensor(source, planned, name, true).chunks()) {
        throwIfCancelled(job.signal);
        await writer.write(name, bytes);
      }
      values.push(name);
    }
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await copyCompanions(source, folder);
  const directory = source.container.config !== undefined;
  const path = directory ? folder : join(folder, 'model.safetensors');
  return outputOf(source, planned, directory ? '.' : 'model.safetensors', path, layouts, values);
}

/** The ONNX model itself with dequantised weights in the types that it has. */
async function writeOnnxValues({ source, planned, folder, signal, stored }: WriteJob): Promise<WrittenOutput> {
  const path = join(folder, 'model.onnx');
  const layouts = new Map<string, LayerLayout>();
  const editor = await editModel(source.container.path);
  try {
    for (const entry of planned.entries()) {
      throwIfCancelled(signal);
      const { dtype, shape } = source.tensors.get(entry.name)!.entry;
      const bytes = storedBytes(source, entry, await planned.get(entry.name));
      editor.replaceInitializer(entry.name, { dtype, shape, bytes });
      if (entry.layout.kind === 'plain') continue;
      layouts.set(entry.name, layoutFor(entry));
      stored(entry.name, bytes.byteLength);
    }
    await editor.write(path);
  } finally {
    await editor.close();
  }
  const values = [...source.tensors.values()].filter(({ entry }) => entry.dtype !== 'string' && !layouts.has(entry.name));
  return outputOf(
    source,
    planned,
    'model.onnx',
    path,
    layouts,
    values.map(({ entry }) => entry.name),
  );
}

function outputOf(
  source: ModelSource,
  planned: PlannedStore,
  primary: string,
  path: string,
  layouts: ReadonlyMap<string, LayerLayout>,
  values: readonly string[],
): WrittenOutput {
  return {
    primary,
    integerActivations: false,
    roundedToSource: true,
    layouts,
    values,
    expected: (tensor, entry) => digestOfBytes(storedBytes(source, entry, tensor)),
    open: async () => valuesReader(await openContainer(path), planned),
  };
}

function valuesReader(written: TensorContainer, planned: PlannedStore): OutputReader {
  return {
    fingerprint: async (name) => digestOfBytes(await written.read(name)),
    weights: async (name, target) => {
      const { transposed, layout } = planned.entry(name)!;
      const { dtype } = written.tensors.get(name)!;
      if (!transposed || layout.kind === 'plain') return decodeToFloat32(dtype, await written.read(name), target);
      const values = decodeToFloat32(dtype, await written.read(name));
      const result = target ?? new Float32Array(values.length);
      transposeBack(values, layout.columns, 0, layout.rows, result);
      return result;
    },
    bytesOf: (name) => written.tensors.get(name)?.bytes,
    read: (name, range) => written.read(name, range),
    close: () => written.close(),
  };
}

/** The values of a planned tensor in the source's type and order. */
function storedBytes({ tensors }: ModelSource, { name, transposed, layout }: PlannedEntry, tensor: PlannedTensor): Uint8Array {
  const values = dequantizePlanned(tensor);
  const ordered =
    transposed && layout.kind !== 'plain' ? transposeInto(values, layout.columns, 0, layout.rows, new Float32Array(values.length)) : values;
  return encodeFromFloat32(tensors.get(name)!.entry.dtype, ordered);
}

function layoutFor({ layout, transposed }: PlannedEntry): LayerLayout {
  const { rows, columns } = layout as { readonly rows: number; readonly columns: number };
  return { form: 'values', rows, columns, ...(transposed ? { transposed: true } : {}) };
}

function listedTensors(source: ModelSource): readonly ListedTensor[] {
  const sharded = (source.container.weightFiles?.length ?? 1) > 1;
  return [...source.tensors.values()].map(({ entry }) => ({
    name: entry.name,
    dtype: entry.dtype,
    shape: entry.shape,
    ...(sharded && entry.location ? { file: basename(entry.location.file) } : {}),
  }));
}

function metadataOf(source: ModelSource): Readonly<Record<string, string>> {
  const { format, metadata } = source.container;
  // The metadata of a GGUF file describes that file; its config and tokenizer are written beside the weights.
  return format !== 'gguf' && Object.keys(metadata).length > 0 ? metadata : { format: 'pt' };
}
