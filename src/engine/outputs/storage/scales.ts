import { numberToFloat16 } from '../../../common/halfFloat';
import { decodeToFloat32 } from '../../formats/decode';
import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Value } from '../../graph/graph';
import type { TensorBytes } from './matrixForm';

/** Stores scales in their type: two bytes each for float16. */
export function encodeScales(scales: Float32Array, dtype: 'float16' | 'float32', shape: readonly number[]): TensorBytes {
  if (dtype === 'float32') return { dtype, shape, bytes: new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength) };
  const stored = new Uint16Array(scales.length);
  for (let index = 0; index < stored.length; index += 1) stored[index] = numberToFloat16(scales[index] as number);
  return { dtype, shape, bytes: new Uint8Array(stored.buffer) };
}

/** Reads stored scales back as float32. */
export function decodeScales({ dtype, bytes }: TensorBytes): Float32Array {
  return decodeToFloat32(dtype, bytes);
}

/** A value as float32: a Cast where it is stored otherwise. The runtime folds casts of constants when it loads a model. */
export function asFloat32(build: GraphBuilder, value: Value): Value {
  return value.type.dtype === 'float32' ? value : build.op('Cast', [value], { to: int(elementTypeOf('float32') as number) });
}
