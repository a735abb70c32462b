import { SeededRandom } from '../../../src/common/random';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { elementCount } from '../../../src/protocol/dtypes';

/** A float32 tensor of seeded normal values. */
export function normalTensor(shape: readonly number[], seed = 1): RuntimeTensor {
  const source = new SeededRandom(seed);
  return { dtype: 'float32', shape, data: Float32Array.from({ length: elementCount(shape) }, () => source.nextNormal()) };
}
