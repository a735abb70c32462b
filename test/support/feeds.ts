import { SeededRandom } from '../../src/common/random';
import type { RuntimeTensor } from '../../src/engine/runtime/types';
import { elementCount, type DType } from '../../src/protocol/dtypes';

/** A tensor to feed: given values, or seeded ones (floats from 0.1 to 0.9, whole numbers 0 and 1). */
export function seededTensor(dtype: DType, shape: readonly number[], values?: readonly number[], seed = 1): RuntimeTensor {
  const random = new SeededRandom(seed);
  const isFloat = dtype === 'float32' || dtype === 'float64';
  const numbers = values ?? Array.from({ length: elementCount(shape) }, () => (isFloat ? 0.1 + 0.8 * random.next() : random.nextBelow(2)));
  return { dtype, shape, data: arrayOf(dtype, numbers) };
}

function arrayOf(dtype: DType, numbers: readonly number[]): RuntimeTensor['data'] {
  switch (dtype) {
    case 'int64':
      return BigInt64Array.from(numbers.map(BigInt));
    case 'int32':
      return Int32Array.from(numbers);
    case 'int8':
      return Int8Array.from(numbers);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(numbers);
    case 'float64':
      return Float64Array.from(numbers);
    default:
      return Float32Array.from(numbers);
  }
}
