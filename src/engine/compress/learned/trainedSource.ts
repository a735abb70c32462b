import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { byteLength, elementCount, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorContainer, TensorEntry } from '../../formats/container';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { transposeInto } from '../../kernels/host/transpose';
import type { CompressSource, SourceTensor } from '../../models/modelSource';

/** What training has made of a model. */
export interface TrainedValues {
  readonly source: CompressSource;
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  /** Float tensors that were trained and keep a float type, in the order in which they are stored, by name on disk. */
  readonly rest: ReadonlyMap<string, Float32Array>;
  /** The rest is stored as float16 rather than float32. */
  readonly halfRest: boolean;
}

/**
 * The model with its trained values, as if it had been given so: learned tensors dequantised, the rest in the type in which it is stored. `keepTypes`:
 * everything in the types of the source. An ONNX model is written to a temporary folder, which goes with the container.
 * Errors: `invalid-argument` for names, lengths or values that do not fit.
 */
export async function openTrained(trained: TrainedValues, keepTypes: boolean): Promise<CompressSource> {
  for (const name of [...trained.learned.keys(), ...trained.rest.keys()])
    if (!trained.source.tensors.has(name)) throw misfit(name, `${trained.source.container.path} has no such tensor`);
  return trained.source.container.format === 'onnx' ? openTrainedOnnx(trained) : trainedView(trained, keepTypes);
}

/** Bytes of a tensor with its trained values, or undefined where training has not touched it. */
function trainedBytes({ source, learned, rest, halfRest }: TrainedValues, name: string, dtype: DType): Uint8Array | undefined {
  const tensor = learned.get(name);
  const values = tensor ? dequantizeLearned(tensor) : rest.get(name);
  if (values === undefined) return undefined;
  const { entry } = source.tensors.get(name)!;
  if (values.length !== elementCount(entry.shape)) throw misfit(name, `it has ${elementCount(entry.shape)} values, got ${values.length}`);
  const [first = 1, second = 1] = entry.shape;
  const ordered = tensor?.transposed ? transposeInto(values, first, 0, second, new Float32Array(values.length)) : values;
  // The rest goes through float16 where it is stored so: every format then holds the same numbers.
  const rounded = !tensor && halfRest ? decodeToFloat32('float16', checkedHalf(name, ordered)) : ordered;
  return encodeFromFloat32(dtype, rounded);
}

function checkedHalf(name: string, values: Float32Array): Uint8Array {
  const large = values.find((value) => Math.abs(value) >= 65520);
  if (large === undefined) return encodeFromFloat32('float16', values);
  throw misfit(name, `it holds ${large} and float16 ends at 65504; keep the rest in float32 (--float32-rest)`);
}

function trainedView(trained: TrainedValues, keepTypes: boolean): CompressSource {
  const { source, learned, rest, halfRest } = trained;
  const { container } = source;
  const restType = halfRest ? 'float16' : 'float32';
  const entries = new Map<string, TensorEntry>();
  for (const [name, entry] of container.tensors) {
    const dtype = keepTypes ? entry.dtype : learned.has(name) ? 'float32' : rest.has(name) ? restType : entry.dtype;
    entries.set(name, dtype === entry.dtype ? entry : { ...entry, dtype, bytes: byteLength(dtype, entry.shape), location: undefined });
  }
  let last: { readonly name: string; readonly bytes: Uint8Array | undefined } | undefined;
  const view: TensorContainer = {
    format: container.format,
    path: container.path,
    tensors: entries,
    metadata: container.metadata,
    diagnostics: container.diagnostics,
    ...(container.config === undefined ? {} : { config: container.config }),
    ...(container.companions === undefined ? {} : { companions: container.companions }),
    ...(container.generatedCompanions === undefined ? {} : { generatedCompanions: container.generatedCompanions }),
    ...(container.weightFiles === undefined ? {} : { weightFiles: container.weightFiles }),
    read: async (name, range) => {
      // Chunks of a tensor are asked for one after the other: it is made once.
      if (last?.name !== name) last = { name, bytes: trainedBytes(trained, name, entries.get(name)?.dtype ?? 'float32') };
      const { bytes } = last;
      if (bytes === undefined) return container.read(name, range);
      return bytes.slice(range?.offset ?? 0, range ? range.offset + range.length : undefined);
    },
    // The source belongs to whoever opened it.
    close: () => Promise.resolve(),
  };
  return { ...source, container: view, tensors: withEntries(source, entries), original: source };
}

async function openTrainedOnnx(trained: TrainedValues): Promise<CompressSource> {
  const { source, learned, rest } = trained;
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-trained-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'model.onnx');
    const editor = await editModel(source.container.path);
    try {
      for (const name of [...learned.keys(), ...rest.keys()]) {
        const { dtype, shape } = source.tensors.get(name)!.entry;
        editor.replaceInitializer(name, { dtype, shape, bytes: trainedBytes(trained, name, dtype)! });
      }
      await editor.write(path);
    } finally {
      await editor.close();
    }
    const container = await openOnnx(path);
    const view: TensorContainer = {
      format: container.format,
      path: container.path,
      tensors: container.tensors,
      metadata: container.metadata,
      diagnostics: container.diagnostics,
      ...(container.graph === undefined ? {} : { graph: container.graph }),
      ...(container.weightFiles === undefined ? {} : { weightFiles: container.weightFiles }),
      read: (name, range) => container.read(name, range),
      close: async () => {
        await container.close();
        await remove();
      },
    };
    return { ...source, container: view, tensors: withEntries(source, container.tensors, learned), original: source };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Tensors under the entries of the trained model; learned ones in the orientation in which they were learned. */
function withEntries(
  source: CompressSource,
  entries: ReadonlyMap<string, TensorEntry>,
  learned?: ReadonlyMap<string, LearnedTensor>,
): ReadonlyMap<string, SourceTensor> {
  const tensors = new Map<string, SourceTensor>();
  for (const [name, tensor] of source.tensors) {
    const transposed = learned?.get(name)?.transposed ?? tensor.transposed;
    const { transposed: _before, ...rest } = tensor;
    tensors.set(name, { ...rest, entry: entries.get(name) ?? tensor.entry, ...(transposed ? { transposed } : {}) });
  }
  return tensors;
}

function misfit(name: string, message: string): LoomweightError {
  return new LoomweightError('invalid-argument', `The trained tensor '${name}' cannot be written: ${message}.`, { tensor: name });
}
