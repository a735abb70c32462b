import { elementCount } from '../../src/protocol/dtypes';
import { decodeToFloat32 } from '../../src/engine/formats/decode';
import type { TensorContainer } from '../../src/engine/formats/container';

/** All weights of a small model as float32. */
export async function loadFloatWeights(container: TensorContainer): Promise<ReadonlyMap<string, Float32Array>> {
  const result = new Map<string, Float32Array>();
  for (const { name, dtype, shape } of container.tensors.values())
    result.set(name, decodeToFloat32(dtype, await container.read(name), new Float32Array(elementCount(shape))));
  return result;
}
