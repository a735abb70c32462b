import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bfloat16ToNumber, float16ToNumber } from '../../src/common/halfFloat';
import type { DType } from '../../src/protocol/dtypes';

/** Folder of the ONNX fixtures. */
export const onnxFixtures = fileURLToPath(new URL('../fixtures/onnx', import.meta.url));

/** The ONNX file of that name: a fixture, or the bundled sample. */
export function onnxFile(name: string): string {
  return name === 'digits-mlp'
    ? fileURLToPath(new URL('../../media/samples/digits/digits-mlp.onnx', import.meta.url))
    : join(onnxFixtures, `${name}.onnx`);
}

/** What numpy says is in a fixture: file to tensor to values. */
export interface ExpectedTensors {
  readonly files: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly dtype: DType; readonly shape: readonly number[]; readonly values: readonly number[] }>>
    >
  >;
}

/** Values written by numpy beside the fixtures. */
export function expectedTensors(): ExpectedTensors {
  return JSON.parse(readFileSync(join(onnxFixtures, 'expected.json'), 'utf8')) as ExpectedTensors;
}

/** Numbers of raw bytes, slow and plain: the tests' own reading. */
export function numbersOf(dtype: DType, bytes: Uint8Array, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nibble = (i: number) => ((bytes[i >> 1] as number) >> (i % 2 === 0 ? 0 : 4)) & 15;
  const readers: Partial<Record<DType, (i: number) => number>> = {
    float32: (i) => view.getFloat32(i * 4, true),
    float64: (i) => view.getFloat64(i * 8, true),
    float16: (i) => float16ToNumber(view.getUint16(i * 2, true)),
    bfloat16: (i) => bfloat16ToNumber(view.getUint16(i * 2, true)),
    int64: (i) => Number(view.getBigInt64(i * 8, true)),
    uint64: (i) => Number(view.getBigUint64(i * 8, true)),
    int32: (i) => view.getInt32(i * 4, true),
    uint32: (i) => view.getUint32(i * 4, true),
    int16: (i) => view.getInt16(i * 2, true),
    int8: (i) => view.getInt8(i),
    uint8: (i) => view.getUint8(i),
    bool: (i) => view.getUint8(i),
    uint4: nibble,
    int4: (i) => (nibble(i) << 28) >> 28,
  };
  const read = readers[dtype];
  if (!read) throw new Error(`no reader for ${dtype}`);
  return Array.from({ length: count }, (_, i) => read(i));
}
