import type { DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { GraphSummary } from '../../protocol/model';
import type { RuntimeTensor } from '../runtime/types';

/** An input or output of an ONNX graph. */
export type Port = GraphSummary['inputs'][number];

const cachePattern = /^past_key_values\.|^past_key_\d|^past_value_\d|^past\./;

/** True for keys and values of the tokens before. */
export function isCacheInput({ name }: Port): boolean {
  return cachePattern.test(name);
}

/**
 * What an input other than the ids gets for whole sequences: ones, positions from 0, or an empty cache. `purpose` starts the message.
 * Errors: `unsupported` for an input that is not known.
 */
export function emptyInput(input: Port, count: number, length: number, purpose = 'Evaluation on text'): RuntimeTensor {
  const filled = (value: (index: number) => number) =>
    asInteger(
      input,
      BigInt64Array.from({ length: count * length }, (_, index) => BigInt(value(index % length))),
      [count, length],
    );
  if (input.name === 'input_ids' || input.name === 'attention_mask') return filled(() => 1);
  if (input.name === 'position_ids') return filled((index) => index);
  if (input.name === 'token_type_ids') return filled(() => 0);
  if (input.name === 'use_cache_branch') return { dtype: 'bool', shape: [1], data: Uint8Array.of(0) };
  const [, heads, , size] = input.shape;
  if (isCacheInput(input) && input.shape.length === 4 && typeof heads === 'number' && typeof size === 'number') {
    const half = input.dtype === 'float16';
    if (half || input.dtype === 'float32')
      return { dtype: input.dtype as DType, shape: [count, heads, 0, size], data: half ? new Uint16Array(0) : new Float32Array(0) };
  }
  throw new LoomweightError(
    'unsupported',
    `${purpose} has no value for the input '${input.name}' (${input.dtype}[${input.shape.join(', ')}]). ` +
      "Supported inputs: input_ids, attention_mask, position_ids, token_type_ids, use_cache_branch and a four-axis cache 'past_key_values.*'.",
    { input: input.name, shape: input.shape },
  );
}

/** Integers in the type of an input. Errors: `unsupported` for another type than int64 and int32. */
export function asInteger(input: Port, values: BigInt64Array, shape: readonly number[]): RuntimeTensor {
  if (input.dtype === 'int32') return { dtype: 'int32', shape, data: Int32Array.from(values, Number) };
  if (input.dtype === 'int64') return { dtype: 'int64', shape, data: values };
  throw new LoomweightError('unsupported', `The input '${input.name}' must be int64 or int32, but is ${input.dtype}.`, {
    input: input.name,
  });
}
