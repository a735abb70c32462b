import { byteLength, floatDTypes, type DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { decodeToFloat32, encodeFromFloat32 } from '../formats/decode';
import { basename } from 'node:path';
import type { ModelSource, SourceTensor } from './modelSource';

/** Says in which type a tensor of the source is written, from the type in its file; undefined if it stays. */
export type WrittenType = (stored: DType) => DType | undefined;

/**
 * The source with some float tensors in other types: they are converted when read (rounding half to even), and config.json states the new type.
 * The source itself where nothing changes. Errors: `unsupported` for ONNX models, whose graphs fix the types; on reading `invalid-argument` for a value
 * that the narrower type cannot hold.
 */
export function withWrittenTypes(source: ModelSource, writtenType: WrittenType): ModelSource {
  const changed = new Map<string, DType>();
  for (const [name, { entry }] of source.tensors) {
    const stored = entry.storedDType ?? entry.dtype;
    if (!floatDTypes.includes(entry.dtype)) continue;
    const wanted = writtenType(stored);
    if (wanted !== undefined && wanted !== entry.dtype) changed.set(name, wanted);
  }
  if (changed.size === 0) return source;
  if (source.container.format === 'onnx')
    throw new LoomweightError(
      'unsupported',
      `The graph of ${source.container.path} fixes the types of its weights; only models in safetensors or GGUF can be converted. Omit --dtype.`,
      { path: source.container.path },
    );
  const container = convertedContainer(source.container, changed);
  const tensors = new Map<string, SourceTensor>(
    [...source.tensors].map(([name, tensor]) => [name, { ...tensor, entry: container.tensors.get(name) ?? tensor.entry }] as const),
  );
  return { ...source, container, tensors, original: source };
}

function convertedContainer(container: TensorContainer, changed: ReadonlyMap<string, DType>): TensorContainer {
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of container.tensors) {
    const dtype = changed.get(name);
    tensors.set(
      name,
      dtype === undefined
        ? entry
        : { ...entry, dtype, storedDType: entry.storedDType ?? entry.dtype, bytes: byteLength(dtype, entry.shape), location: undefined },
    );
  }
  const config = container.config && withType(container.config, [...changed.values()][0] as DType);
  const text = config && new Map([['config.json', `${JSON.stringify(config, undefined, 2)}\n`]]);
  return {
    format: container.format,
    path: container.path,
    tensors,
    metadata: container.metadata,
    diagnostics: container.diagnostics,
    ...(config === undefined ? {} : { config }),
    ...(container.companions === undefined ? {} : { companions: container.companions.filter((file) => basename(file) !== 'config.json') }),
    generatedCompanions: new Map([...(container.generatedCompanions ?? []), ...(text ?? [])]),
    ...(container.weightFiles === undefined ? {} : { weightFiles: container.weightFiles }),
    read: async (name, range) => {
      const dtype = changed.get(name);
      const entry = container.tensors.get(name);
      if (dtype === undefined || entry === undefined) return container.read(name, range);
      return readConverted(container, entry, dtype, range);
    },
    close: () => container.close(),
  };
}

async function readConverted(
  container: TensorContainer,
  entry: TensorEntry,
  dtype: DType,
  range: { readonly offset: number; readonly length: number } | undefined,
): Promise<Uint8Array> {
  const [from, to] = [byteLength(entry.dtype, [1]), byteLength(dtype, [1])];
  const { offset, length } = range ?? { offset: 0, length: byteLength(dtype, entry.shape) };
  const first = Math.floor(offset / to);
  const last = Math.ceil((offset + length) / to);
  const values = decodeToFloat32(entry.dtype, await container.read(entry.name, { offset: first * from, length: (last - first) * from }));
  if (dtype === 'float16') refuseOverflow(entry.name, values, first);
  return encodeFromFloat32(dtype, values).subarray(offset - first * to, offset - first * to + length);
}

function refuseOverflow(name: string, values: Float32Array, first: number): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (Math.abs(value) < 65520 || !Number.isFinite(value)) continue;
    throw new LoomweightError(
      'invalid-argument',
      `Tensor '${name}' contains ${value} at position ${first + index}; the largest float16 is 65504. Use --dtype float32 or bfloat16.`,
      { tensor: name, position: first + index, value },
    );
  }
}

/** config.json with the new type under the key it had, or the older one. */
function withType(config: Readonly<Record<string, unknown>>, dtype: DType): Readonly<Record<string, unknown>> {
  return { ...config, ['dtype' in config ? 'dtype' : 'torch_dtype']: dtype };
}
