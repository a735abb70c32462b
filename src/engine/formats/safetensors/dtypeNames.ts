import type { DType } from '../../../protocol/dtypes';

/** Names of element types in the safetensors format (as of safetensors 0.8) and in Loomweight. */
export const dtypeOfSafetensors: Readonly<Record<string, DType>> = {
  BOOL: 'bool',
  U8: 'uint8',
  I8: 'int8',
  U16: 'uint16',
  I16: 'int16',
  U32: 'uint32',
  I32: 'int32',
  U64: 'uint64',
  I64: 'int64',
  F16: 'float16',
  BF16: 'bfloat16',
  F32: 'float32',
  F64: 'float64',
  C64: 'complex64',
  F8_E5M2: 'float8_e5m2',
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2FNUZ: 'float8_e5m2fnuz',
  F8_E4M3FNUZ: 'float8_e4m3fnuz',
  F8_E8M0: 'float8_e8m0',
  F6_E2M3: 'float6_e2m3',
  F6_E3M2: 'float6_e3m2',
  F4: 'float4_e2m1',
};

/** The safetensors name of an element type, or undefined if the format does not have it. */
export function safetensorsNameOf(dtype: DType): string | undefined {
  return Object.keys(dtypeOfSafetensors).find((name) => dtypeOfSafetensors[name] === dtype);
}
