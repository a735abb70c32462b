import type { DType } from '../../protocol/dtypes';

/** Codes of ONNX's TensorProto.DataType (schema of onnx 1.23, 0 to 28), used by Cast attributes as well as in files. */
const codes: Readonly<Partial<Record<DType, number>>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8_e4m3fn: 17,
  float8_e4m3fnuz: 18,
  float8_e5m2: 19,
  float8_e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4_e2m1: 23,
  float8_e8m0: 24,
  uint2: 25,
  int2: 26,
  float6_e2m3: 27,
  float6_e3m2: 28,
};

const byCode: ReadonlyMap<number, DType> = new Map(Object.entries(codes).map(([dtype, code]) => [code, dtype as DType]));

/** Code of an element type; undefined for types that ONNX does not have (GGUF blocks). */
export function elementTypeOf(dtype: DType): number | undefined {
  return codes[dtype];
}

/** Element type of a code; undefined for 0 (not set) and for codes of later schemas. */
export function dtypeOfElementType(code: number): DType | undefined {
  return byCode.get(code);
}
