import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { ExpectedTensor } from '../architectures/architecture';
import type { TensorContainer } from '../formats/container';
import { decodeToFloat32 } from '../formats/decode';
import type { RuntimeTensor } from '../runtime/types';
import type { WeightReader } from './weightReader';
import { blockAlignedChunk } from '../formats/chunks';

/** Elements read at a time while a weight is widened, so that both forms of a big matrix never lie in memory whole. */
const chunkElements = 1 << 22;

/** Every expected tensor is there with its shape, or a `malformed-file` error names the first that is not. */
export function checkWeights(container: TensorContainer, expected: readonly ExpectedTensor[]): void {
  for (const { name, shape } of expected) {
    const entry = container.tensors.get(name);
    if (entry?.shape.join() === shape.join()) continue;
    throw new LoomweightError(
      'malformed-file',
      `The config of ${container.path} needs '${name}' with shape [${shape.join(', ')}]; ` +
        `${entry ? `it has [${entry.shape.join(', ')}]` : 'there is no such tensor'}. Config and weights must belong together.`,
      { tensor: name, expected: shape, actual: entry?.shape },
    );
  }
}

/** One weight as float32, widened exactly from its type on disk, into `target` where one of its length is given. */
export async function readWeight(container: TensorContainer, name: string, target?: RuntimeTensor['data']): Promise<RuntimeTensor> {
  const entry = container.tensors.get(name);
  if (!entry) throw new LoomweightError('malformed-file', `${container.path} has no tensor '${name}'.`, { tensor: name });
  const count = elementCount(entry.shape);
  const data = target instanceof Float32Array && target.length === count ? target : new Float32Array(count);
  for (let start = 0; start < count; start += chunkElements) {
    const part = Math.min(chunkElements, count - start);
    const bytes = await container.read(name, blockAlignedChunk(entry, start, part));
    decodeToFloat32(entry.dtype, bytes, data.subarray(start, start + part));
  }
  return { dtype: 'float32', shape: entry.shape, data };
}

/** The weights of a container, widened exactly. */
export function containerWeights(container: TensorContainer): WeightReader {
  return {
    shapeOf: (name) => {
      const entry = container.tensors.get(name);
      if (entry) return entry.shape;
      throw new LoomweightError('malformed-file', `${container.path} has no tensor '${name}'.`, { tensor: name });
    },
    read: async (name, target) => (await readWeight(container, name, target)).data as Float32Array,
  };
}
