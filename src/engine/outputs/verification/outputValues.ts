import type { DType } from '../../../protocol/dtypes';
import { decodeToFloat32 } from '../../formats/decode';
import type { RuntimeTensor, Session } from '../../runtime/types';

/** One output of a run, as numbers. */
export interface OutputValues {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** float32, or float64 where float32 would lose digits (float64 and integers). */
  readonly values: Float32Array | Float64Array;
}

/** Runs a session and gives all its outputs as numbers, in the order of the session. */
export async function outputsOf(session: Session, feeds: Readonly<Record<string, RuntimeTensor>>): Promise<readonly OutputValues[]> {
  const results = await session.run(feeds);
  return session.outputNames.map((name) => {
    const { dtype, shape, data } = results[name] as RuntimeTensor;
    return { name, dtype, shape, values: numbersOf(dtype, data) };
  });
}

function numbersOf(dtype: DType, data: RuntimeTensor['data']): Float32Array | Float64Array {
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  // 16-bit floats arrive as their bit patterns.
  if (dtype === 'float16' || dtype === 'bfloat16')
    return decodeToFloat32(dtype, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return Float64Array.from(data as ArrayLike<number | bigint>, Number);
}
