import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import { openContainer } from '../../models/openContainer';
import { SafetensorsWriter, type PlannedTensor } from '../../formats/safetensors/writer';
import { dequantize, digestOfBytes } from '../../compress/quantizeTensor';
import type { CompressSource } from '../../models/modelSource';
import type { Exporter, ExportJob } from './exporter';
import { outputBytes } from './sizes';

/** Bytes read from the source at a time for tensors that are copied. */
const copyChunk = 16 * 2 ** 20;

/**
 * Dequantised weights in the type of the source, sharded as the source: what other tools open as an ordinary model. Nothing is smaller on
 * disk; it shows what a method does to a model.
 */
export const huggingFace: Exporter = {
  id: 'hf',
  label: 'Hugging Face',
  dequantised: true,
  summary: 'Dequantised weights in the type of the source, as safetensors beside config and tokenizer. Opens everywhere, is not smaller.',

  mixedBits: (_planned, _groupBits, { codeBits, scaleBits, zeroPointBits }) => codeBits + scaleBits + zeroPointBits,

  check: (source) => {
    if (source.container.format === 'safetensors' || source.container.config !== undefined) return;
    throw new LoomweightError(
      'unsupported',
      `The format hf is made from safetensors weights; ${source.container.path} is ${source.container.format === 'onnx' ? 'an ONNX model: take onnx, onnx-fast or onnx-packed' : `a ${source.container.format} file: convert it first`}.`,
      { format: 'hf', source: source.container.format },
    );
  },

  write: async (job) => {
    const { source, folder } = job;
    const digests = await writeWeights(job);
    for (const file of source.container.companions ?? []) await copyFile(file, join(folder, basename(file)));
    for (const [name, text] of source.container.generatedCompanions ?? []) await writeFile(join(folder, name), text);
    const directory = source.container.config !== undefined;
    return {
      primary: directory ? '.' : 'model.safetensors',
      integerActivations: false,
      roundedToSource: true,
      readWeights: async (name, target) => {
        const written = await openContainer(directory ? folder : join(folder, 'model.safetensors'));
        try {
          return decodeToFloat32(written.tensors.get(name)!.dtype, await written.read(name), target);
        } finally {
          await written.close();
        }
      },
      verifyBytes: (signal) => verifyBytes(directory ? folder : join(folder, 'model.safetensors'), digests, signal),
    };
  },

  estimate: (source, plan) => ({
    bytes: outputBytes(source, plan, ({ tensor }) => source.tensors.get(tensor.name)!.entry.bytes),
    extraMemory: 0,
  }),
};

/** Writes all tensors and gives the fingerprint of each, taken from the plan or the source, not from what was written. */
async function writeWeights(job: ExportJob): Promise<ReadonlyMap<string, string>> {
  const { source, folder, plan, signal } = job;
  const writer = await SafetensorsWriter.create(folder, plannedTensors(source), metadataOf(source));
  const digests = new Map<string, string>();
  try {
    for (const [name, { entry }] of source.tensors) {
      throwIfCancelled(signal);
      if (plan.has(name)) {
        const bytes = encodeFromFloat32(entry.dtype, dequantize(await job.quantize(name)));
        digests.set(name, digestOfBytes(bytes));
        await writer.write(name, bytes);
        job.stored(name, bytes.byteLength);
        continue;
      }
      const parts: string[] = [];
      for (let offset = 0; offset < entry.bytes; offset += copyChunk) {
        throwIfCancelled(signal);
        const bytes = await source.container.read(name, { offset, length: Math.min(copyChunk, entry.bytes - offset) });
        parts.push(digestOfBytes(bytes));
        await writer.write(name, bytes);
      }
      digests.set(name, parts.join(' '));
    }
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return digests;
}

function plannedTensors(source: CompressSource): readonly PlannedTensor[] {
  const sharded = (source.container.weightFiles?.length ?? 1) > 1;
  return [...source.tensors.values()].map(({ entry }) => ({
    name: entry.name,
    dtype: entry.dtype,
    shape: entry.shape,
    ...(sharded && entry.location ? { file: basename(entry.location.file) } : {}),
  }));
}

function metadataOf(source: CompressSource): Readonly<Record<string, string>> {
  const { format, metadata } = source.container;
  // The metadata of a GGUF file describes that file; its config and tokenizer are written beside the weights.
  return format !== 'gguf' && Object.keys(metadata).length > 0 ? metadata : { format: 'pt' };
}

async function verifyBytes(
  path: string,
  digests: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<{ readonly tensors: number; readonly mismatches: readonly string[] }> {
  const written = await openContainer(path);
  const mismatches: string[] = [];
  try {
    for (const [name, digest] of digests) {
      throwIfCancelled(signal);
      const entry = written.tensors.get(name);
      const whole = !digest.includes(' ');
      const parts: string[] = [];
      const size = entry?.bytes ?? 0;
      const chunk = whole ? Math.max(size, 1) : copyChunk;
      for (let offset = 0; offset < size; offset += chunk)
        parts.push(digestOfBytes(await written.read(name, { offset, length: Math.min(chunk, size - offset) })));
      if (parts.join(' ') !== digest) mismatches.push(name);
    }
    return { tensors: digests.size, mismatches };
  } finally {
    await written.close();
  }
}
