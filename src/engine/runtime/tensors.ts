import type { Tensor } from 'onnxruntime-node';
import type { DType } from '../../protocol/dtypes';
import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { Ort } from './loadOrt';
import type { RuntimeTensor } from './types';

/**
 * Array type of each element type at the interface to the runtime. The 4-bit types are missing on purpose: the binding of onnxruntime-node
 * 1.30 refuses them as inputs, and ends the whole process if one is an output.
 */
const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const satisfies Partial<Record<DType, unknown>>;

type RuntimeDType = keyof typeof arrayTypes;

/** True for element types that can be passed in and read back. */
export function isRuntimeDType(dtype: string): dtype is RuntimeDType {
  return Object.hasOwn(arrayTypes, dtype);
}

/**
 * Converts a tensor for ONNX Runtime, without a copy. Errors: `unsupported` for types that have no JavaScript tensor (bfloat16, 4-bit
 * types, ...), `invalid-argument` if array type or length do not match the shape.
 */
export function toOrtTensor(ort: Ort, name: string, tensor: RuntimeTensor): Tensor {
  const { dtype, shape, data } = tensor;
  if (!isRuntimeDType(dtype))
    throw new LoomweightError(
      'unsupported',
      `The runtime does not accept ${dtype} inputs, but '${name}' is one. Convert it in the graph or pass float32.`,
      { input: name, dtype },
    );
  const expected = arrayTypes[dtype];
  const length = elementCount(shape);
  if (!(data instanceof expected) || data.length !== length)
    throw new LoomweightError(
      'invalid-argument',
      `Input '${name}' of type ${dtype} and shape [${shape.join(', ')}] needs a ${expected.name} of ${length}, ` +
        `got a ${data.constructor.name} of ${data.length}.`,
      { input: name, dtype, shape },
    );
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
}

/** Converts a tensor from ONNX Runtime, without a copy. float16 is a Uint16Array of bit patterns in every version of Node. */
export function fromOrtTensor(name: string, tensor: Tensor): RuntimeTensor {
  const dtype: string = tensor.type;
  const shape = [...tensor.dims];
  if (!isRuntimeDType(dtype))
    throw new LoomweightError(
      'unsupported',
      `Output '${name}' is of type ${dtype}, which cannot be read as a plain array. Cast it in the graph.`,
      {
        output: name,
        dtype,
      },
    );
  const data = tensor.data as unknown as RuntimeTensor['data'];
  if (data instanceof arrayTypes[dtype]) return { dtype, shape, data };
  // Versions of Node that have Float16Array return that.
  const view = data as ArrayBufferView;
  return { dtype, shape, data: new Uint16Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength / 2) };
}

/** `input_ids int64 [1, 5]`, for error messages. */
export function describeTensors(tensors: Readonly<Record<string, RuntimeTensor>>): string {
  return Object.entries(tensors)
    .map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(', ')}]`)
    .join('; ');
}
