import { elementCount, type DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { ExpectedTensor } from '../architectures/architecture';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { decodeToFloat32 } from '../formats/decode';
import { ggufName } from '../formats/gguf/llamaNames';
import type { WeightReader } from './weightReader';
import { blockAlignedChunk } from '../formats/chunks';

/** Elements read and widened at a time. */
const chunkElements = 1 << 21;

/** Every expected tensor is there with its shape, or a `malformed-file` error names the first that is not. */
export function checkWeights(container: TensorContainer, expected: readonly ExpectedTensor[]): void {
  for (const { name, shape } of expected) {
    const entry = container.tensors.get(name);
    if (entry && !isReal(entry.dtype)) throw notReal(container, entry);
    if (entry?.shape.join() === shape.join()) continue;
    throw missingWeight(container, { name, shape }, entry?.shape);
  }
}

/** Names what the user has: a GGUF file has metadata and names of its own, a directory its config. */
function missingWeight(
  container: TensorContainer,
  { name, shape }: Pick<ExpectedTensor, 'name' | 'shape'>,
  actual: readonly number[] | undefined,
): LoomweightError {
  const fromGguf = container.format === 'gguf';
  const shown = fromGguf ? (ggufName(name) ?? name) : name;
  const found = actual ? `but it has shape [${actual.join(', ')}]` : 'but there is no such tensor';
  return new LoomweightError(
    'malformed-file',
    fromGguf
      ? `The metadata of ${container.path} require '${shown}' with shape [${shape.join(', ')}], ${found}. The file is incomplete or of another kind of model; download or convert it again.`
      : `The config of ${container.path} requires '${shown}' with shape [${shape.join(', ')}], ${found}. Use config and weights of the same model.`,
    { tensor: shown, expected: shape, actual },
  );
}

/** Integers are codes of some quantisation, and what scales them is unknown. */
function isReal(dtype: DType): boolean {
  return /^(float|bfloat)/.test(dtype);
}

function notReal({ path }: TensorContainer, { name, dtype }: TensorEntry): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `'${name}' in ${path} contains values of type ${dtype}. Weights are floating-point numbers; these are codes of a quantised checkpoint whose method is unknown. ` +
      `Use the float checkpoint that it was made from.`,
    { tensor: name, dtype, diagnostic: 'quantized-checkpoint' },
  );
}

/** The weights of a container, widened exactly. */
export function containerWeights(container: TensorContainer): WeightReader {
  const entryOf = (name: string): TensorEntry => {
    const entry = container.tensors.get(name);
    if (entry) return entry;
    throw new LoomweightError('malformed-file', `${container.path} has no tensor '${name}'.`, { tensor: name });
  };
  return {
    shapeOf: (name) => entryOf(name).shape,
    read: (name, target) => readFloat(container, entryOf(name), target),
    readRows: async (name, first, count) => {
      const entry = entryOf(name);
      const columns = entry.shape[1] as number;
      const bytes = await container.read(name, blockAlignedChunk(entry, first * columns, count * columns));
      return decodeToFloat32(entry.dtype, bytes, new Float32Array(count * columns));
    },
  };
}

/** Reads piece by piece, so that the two forms of a large matrix are never both completely in memory. */
async function readFloat(container: TensorContainer, entry: TensorEntry, target: Float32Array | undefined): Promise<Float32Array> {
  const count = elementCount(entry.shape);
  const values = target?.length === count ? target : new Float32Array(count);
  const readAt = (start: number) => container.read(entry.name, blockAlignedChunk(entry, start, Math.min(chunkElements, count - start)));
  let next = readAt(0);
  for (let start = 0; start < count; start += chunkElements) {
    const bytes = await next;
    const end = Math.min(start + chunkElements, count);
    // The next piece is read while this one is widened.
    if (end < count) {
      next = readAt(end);
      // Awaited in the next turn; until then a failure of the widening must not leave this one unhandled.
      next.catch(() => undefined);
    }
    decodeToFloat32(entry.dtype, bytes, values.subarray(start, end));
  }
  return values;
}
