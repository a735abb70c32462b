import { float16ToNumber, numberToFloat16 } from '../../../common/halfFloat';
import type { GraphBuilder } from '../../graph/builder';
import { int } from '../../graph/builder';
import { elementTypeOf } from '../../graph/elementTypes';
import type { Value } from '../../graph/graph';
import type { TensorBytes } from './matrixForm';

/** Stores scales in their type: two bytes each for float16. */
export function encodeScales(scales: Float32Array, dtype: 'float16' | 'float32', shape: readonly number[]): TensorBytes {
  const stored = dtype === 'float16' ? Uint16Array.from(scales, numberToFloat16) : scales;
  return { dtype, shape, bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength) };
}

/** Reads stored scales back as float32. */
export function decodeScales({ dtype, bytes }: TensorBytes): Float32Array {
  const copy = bytes.slice().buffer;
  return dtype === 'float16' ? Float32Array.from(new Uint16Array(copy), float16ToNumber) : new Float32Array(copy);
}

/** A value as float32: a Cast where it is stored otherwise. The runtime folds casts of constants when it loads a model. */
export function asFloat32(build: GraphBuilder, value: Value): Value {
  return value.type.dtype === 'float32' ? value : build.op('Cast', [value], { to: int(elementTypeOf('float32') as number) });
}
