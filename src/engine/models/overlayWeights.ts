import { elementCount } from '../../protocol/dtypes';
import { readRows, type WeightReader } from './weightReader';

/** Other values in place of some of a reader's: by name, in stored order, of the shape that the reader has. */
export function overlayWeights(weights: WeightReader, values: ReadonlyMap<string, Float32Array>): WeightReader {
  return {
    shapeOf: (name) => weights.shapeOf(name),
    read: async (name, target) => {
      const own = values.get(name);
      if (!own) return weights.read(name, target);
      if (target?.length !== own.length) return own;
      target.set(own);
      return target;
    },
    readRows: async (name, first, count) => {
      const own = values.get(name);
      if (!own) return readRows(weights, name, first, count);
      const columns = elementCount(weights.shapeOf(name).slice(1));
      return own.subarray(first * columns, (first + count) * columns);
    },
  };
}
