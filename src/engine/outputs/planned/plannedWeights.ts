import type { DType } from '../../../protocol/dtypes';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import { readRows, type WeightReader } from '../../models/weightReader';
import type { PlannedStore } from './plannedStore';

/**
 * A model with its planned values: those of the store in place of the base's. `roundTo`: the type in which a tensor is written, where values are
 * rounded to it. The tensor that rows were read of last stays in memory, because tables are read in pieces.
 */
export function plannedWeights(store: PlannedStore, base: WeightReader, roundTo?: (name: string) => DType | undefined): WeightReader {
  let last: { readonly name: string; readonly values: Float32Array } | undefined;
  const read = async (name: string, target?: Float32Array): Promise<Float32Array> => {
    const count = (store.entry(name)?.storedShape ?? []).reduce((product, length) => product * length, 1);
    const fitting = target?.length === count ? target : undefined;
    const values = await store.storedValues(name, fitting);
    const dtype = roundTo?.(name);
    if (dtype === undefined || dtype === 'float32') return values;
    return decodeToFloat32(dtype, encodeFromFloat32(dtype, values), fitting);
  };
  return {
    shapeOf: (name) => store.entry(name)?.storedShape ?? base.shapeOf(name),
    read: (name, target) => (store.has(name) ? read(name, target) : base.read(name, target)),
    readRows: async (name, first, count) => {
      if (!store.has(name)) return readRows(base, name, first, count);
      if (last?.name !== name) last = { name, values: await read(name) };
      const columns = store.entry(name)!.storedShape[1] as number;
      return last.values.subarray(first * columns, (first + count) * columns);
    },
  };
}
