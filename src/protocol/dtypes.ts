/**
 * Element types of tensors on disk, under one spelling for every format.
 * Block types (`q4_0`, ...) store `blockSize` elements together in `blockBytes` bytes; all others have a block of 1,
 * or of 2 and 4 where several elements share a byte.
 */
export const dtypes = {
  bool: { blockSize: 1, blockBytes: 1 },
  uint8: { blockSize: 1, blockBytes: 1 },
  int8: { blockSize: 1, blockBytes: 1 },
  uint16: { blockSize: 1, blockBytes: 2 },
  int16: { blockSize: 1, blockBytes: 2 },
  uint32: { blockSize: 1, blockBytes: 4 },
  int32: { blockSize: 1, blockBytes: 4 },
  uint64: { blockSize: 1, blockBytes: 8 },
  int64: { blockSize: 1, blockBytes: 8 },
  float16: { blockSize: 1, blockBytes: 2 },
  bfloat16: { blockSize: 1, blockBytes: 2 },
  float32: { blockSize: 1, blockBytes: 4 },
  float64: { blockSize: 1, blockBytes: 8 },
  complex64: { blockSize: 1, blockBytes: 8 },
  complex128: { blockSize: 1, blockBytes: 16 },
  int4: { blockSize: 2, blockBytes: 1 },
  uint4: { blockSize: 2, blockBytes: 1 },
  int2: { blockSize: 4, blockBytes: 1 },
  uint2: { blockSize: 4, blockBytes: 1 },
  float8_e4m3fn: { blockSize: 1, blockBytes: 1 },
  float8_e4m3fnuz: { blockSize: 1, blockBytes: 1 },
  float8_e5m2: { blockSize: 1, blockBytes: 1 },
  float8_e5m2fnuz: { blockSize: 1, blockBytes: 1 },
  float8_e8m0: { blockSize: 1, blockBytes: 1 },
  float4_e2m1: { blockSize: 2, blockBytes: 1 },
  float6_e2m3: { blockSize: 4, blockBytes: 3 },
  float6_e3m2: { blockSize: 4, blockBytes: 3 },
  string: { blockSize: 1, blockBytes: 0 },
  q4_0: { blockSize: 32, blockBytes: 18 },
  q4_1: { blockSize: 32, blockBytes: 20 },
  q5_0: { blockSize: 32, blockBytes: 22 },
  q5_1: { blockSize: 32, blockBytes: 24 },
  q8_0: { blockSize: 32, blockBytes: 34 },
  q8_1: { blockSize: 32, blockBytes: 36 },
  q2_k: { blockSize: 256, blockBytes: 84 },
  q3_k: { blockSize: 256, blockBytes: 110 },
  q4_k: { blockSize: 256, blockBytes: 144 },
  q5_k: { blockSize: 256, blockBytes: 176 },
  q6_k: { blockSize: 256, blockBytes: 210 },
  q8_k: { blockSize: 256, blockBytes: 292 },
  /** A GGUF block type that is listed but not decoded; its tensors carry their own byte count. */
  gguf_other: { blockSize: 1, blockBytes: 0 },
} as const;

export type DType = keyof typeof dtypes;

/** Types whose values can be read as plain real numbers without a block decoder. */
export const floatDTypes: readonly DType[] = ['float16', 'bfloat16', 'float32', 'float64'];

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a tensor of that type and shape; a partly filled last block counts whole. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  const { blockSize, blockBytes } = dtypes[dtype];
  return Math.ceil(elementCount(shape) / blockSize) * blockBytes;
}
