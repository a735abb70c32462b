import type { WeightReader } from './weightReader';

/**
 * The same weights, each read once and then kept. Without a target the kept array itself is given: it may be fed as often as wanted, but not changed.
 */
export function residentWeights(weights: WeightReader): WeightReader {
  const kept = new Map<string, Float32Array>();
  const get = async (name: string): Promise<Float32Array> => {
    const known = kept.get(name);
    if (known) return known;
    const values = await weights.read(name);
    kept.set(name, values);
    return values;
  };
  return {
    shapeOf: (name) => weights.shapeOf(name),
    read: async (name, target) => {
      const values = await get(name);
      if (target?.length !== values.length) return values;
      target.set(values);
      return target;
    },
  };
}
