import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../../../common/halfFloat';
import { elementCount, type DType } from '../../../protocol/dtypes';
import type { ConstantData } from '../../graph/types';

/** Numbers of a tensor on the host, row by row. int64 is exact as bigint; every other type is exact in float64. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array | BigInt64Array;
}

/** The numbers of an inline constant; undefined for external constants and for types that are not folded. */
export function readHost(data: ConstantData | undefined): HostTensor | undefined {
  if (data?.kind !== 'inline') return undefined;
  const { dtype, shape, bytes } = data;
  const codec = codecs[dtype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = elementCount(shape);
  if (dtype === 'int64') return { dtype, shape, data: BigInt64Array.from({ length: count }, (_, at) => view.getBigInt64(at * 8, true)) };
  return codec && { dtype, shape, data: Float64Array.from({ length: count }, (_, at) => codec.read(view, at * codec.bytes)) };
}

/** A constant of these numbers. Integer types wrap around; floats are rounded to nearest, ties to even. */
export function writeHost({ dtype, shape, data }: HostTensor): ConstantData | undefined {
  const codec = codecs[dtype];
  if (data instanceof BigInt64Array) {
    if (dtype !== 'int64') return undefined;
    const view = new DataView(new ArrayBuffer(data.length * 8));
    data.forEach((value, at) => view.setBigInt64(at * 8, value, true));
    return { kind: 'inline', dtype, shape, bytes: new Uint8Array(view.buffer) };
  }
  if (codec === undefined) return undefined;
  const view = new DataView(new ArrayBuffer(data.length * codec.bytes));
  data.forEach((value, at) => codec.write(view, at * codec.bytes, value));
  return { kind: 'inline', dtype, shape, bytes: new Uint8Array(view.buffer) };
}

/** The integers of an inline constant as plain numbers; undefined if one is too large to be exact (never a length or an axis). */
export function readIndices(data: ConstantData | undefined): readonly number[] | undefined {
  const host = readHost(data);
  return host && Array.from(host.data as ArrayLike<number | bigint>, Number);
}

/** The same numbers in another shape. */
export const withShape = (tensor: HostTensor, shape: readonly number[]): HostTensor => ({ ...tensor, shape });

/** Values at the given positions, in the given shape. */
export function take({ dtype, data }: HostTensor, places: Int32Array, shape: readonly number[]): HostTensor {
  if (data instanceof BigInt64Array) return { dtype, shape, data: BigInt64Array.from(places, (place) => data[place] as bigint) };
  return { dtype, shape, data: Float64Array.from(places, (place) => data[place] as number) };
}

/** Strides of each axis of a dense tensor. */
export function stridesOf(shape: readonly number[]): readonly number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) strides[axis] = (strides[axis + 1] as number) * (shape[axis + 1] as number);
  return strides;
}

/** The position of each element of `shape`, row by row, given a stride per axis: the core of slices, transposes and broadcasts. */
export function placesOf(shape: readonly number[], strides: readonly number[], start = 0): Int32Array {
  let places = Int32Array.of(start);
  shape.forEach((length, axis) => {
    const next = new Int32Array(places.length * length);
    const step = strides[axis] as number;
    places.forEach((place, at) => {
      for (let index = 0; index < length; index += 1) next[at * length + index] = place + index * step;
    });
    places = next;
  });
  return places;
}

/** The position of each element of the broadcast `shape` in a tensor of shape `from`. */
export function broadcastPlaces(from: readonly number[], shape: readonly number[]): Int32Array {
  const added = shape.length - from.length;
  const strides = stridesOf(from);
  return placesOf(
    shape,
    shape.map((_, axis) => (axis < added || from[axis - added] === 1 ? 0 : (strides[axis - added] as number))),
  );
}

interface Codec {
  readonly bytes: number;
  read(view: DataView, at: number): number;
  write(view: DataView, at: number, value: number): void;
}

const codecs: Readonly<Partial<Record<DType, Codec>>> = {
  bool: { bytes: 1, read: (view, at) => view.getUint8(at), write: (view, at, value) => view.setUint8(at, value === 0 ? 0 : 1) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at), write: (view, at, value) => view.setUint8(at, value) },
  int8: { bytes: 1, read: (view, at) => view.getInt8(at), write: (view, at, value) => view.setInt8(at, value) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true), write: (view, at, value) => view.setUint16(at, value, true) },
  int16: { bytes: 2, read: (view, at) => view.getInt16(at, true), write: (view, at, value) => view.setInt16(at, value, true) },
  uint32: { bytes: 4, read: (view, at) => view.getUint32(at, true), write: (view, at, value) => view.setUint32(at, value, true) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true), write: (view, at, value) => view.setInt32(at, value, true) },
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true), write: (view, at, value) => view.setFloat32(at, value, true) },
  float64: { bytes: 8, read: (view, at) => view.getFloat64(at, true), write: (view, at, value) => view.setFloat64(at, value, true) },
  float16: {
    bytes: 2,
    read: (view, at) => float16ToNumber(view.getUint16(at, true)),
    write: (view, at, value) => view.setUint16(at, numberToFloat16(value), true),
  },
  bfloat16: {
    bytes: 2,
    read: (view, at) => bfloat16ToNumber(view.getUint16(at, true)),
    write: (view, at, value) => view.setUint16(at, numberToBfloat16(value), true),
  },
};
