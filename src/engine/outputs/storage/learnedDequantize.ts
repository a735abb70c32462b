import { learnedStep } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { matrixOf } from '../../formats/archive/tensorKinds';
import type { TensorBytes } from './matrixForm';
import { packPlane, unpackPlane } from '../../kernels/host/packBits';
import { decodeScales } from './scales';
import { digestOfArrays } from '../planned/fingerprint';
import type { EncodedTensor, StoredTensor } from './storedTensor';
import { matrixUses, turnedIf } from './unpackedMatrix';

/**
 * A tensor with one learned width in the form of DequantizeLinear: levels in the narrowest ONNX integer that holds them (UINT4, UINT8 or UINT16), one
 * scale, and the minimum added, because a learned grid has no level at zero:
 *   weight = DequantizeLinear(level, step) + minimum      the same bits as `dequantizeLearned`
 */
export function storeDequantized(tensor: LearnedTensor): EncodedTensor {
  const { rows, columns } = matrixOf(tensor.shape);
  const bits = tensor.bits[0] ?? 1;
  const dtype = bits <= 4 ? 'uint4' : bits <= 8 ? 'uint8' : 'uint16';
  const { levels } = tensor;
  const bytes =
    dtype === 'uint16'
      ? new Uint8Array(levels.buffer, levels.byteOffset, levels.byteLength)
      : packPlane(Uint8Array.from(levels), { width: dtype === 'uint4' ? 4 : 8, shift: 0 });
  const scalar = (value: number): TensorBytes => ({ dtype: 'float32', shape: [], bytes: new Uint8Array(Float32Array.of(value).buffer) });
  return {
    pieces: {
      levels: { dtype, shape: [rows, columns], bytes },
      step: scalar(learnedStep(tensor.minimum, tensor.maximum, bits)),
      minimum: scalar(tensor.minimum),
    },
    stored: storedDequantized(rows, columns),
  };
}

/** Name of the form in reports. */
export const learnedDequantizeForm = 'learned-dequantize';

/** A tensor as `storeDequantized` stored it. */
export function storedDequantized(rows: number, columns: number): StoredTensor {
  return {
    form: learnedDequantizeForm,
    details: {},
    rows,
    columns,
    opset: 21,
    types: {
      levels: { dtypes: ['uint4', 'uint8', 'uint16'], shape: [rows, columns] },
      step: { dtypes: ['float32'], shape: [] },
      minimum: { dtypes: ['float32'], shape: [] },
    },
    traces: [],
    decode: (pieces) => {
      const step = decodeScales(pieces['step']!)[0] as number;
      const minimum = decodeScales(pieces['minimum']!)[0] as number;
      const values = Float32Array.from(readLevels(pieces['levels']!, rows * columns), (level) => Math.fround(level * step) + minimum);
      return { fingerprint: digestOfArrays([values]), weights: (target) => (target ? (target.set(values), target) : values) };
    },
    ...matrixUses(rows, columns, [{ from: 0, to: rows }], (build, stored, _part, turned) =>
      turnedIf(build, build.op('Add', [build.op('DequantizeLinear', [stored['levels'], stored['step']]), stored['minimum']]), turned),
    ),
  };
}

function readLevels({ dtype, bytes }: TensorBytes, count: number): Uint8Array | Uint16Array {
  if (dtype === 'uint16') return new Uint16Array(bytes.slice().buffer, 0, count);
  const levels = new Uint8Array(count);
  unpackPlane(bytes, { width: dtype === 'uint4' ? 4 : 8, shift: 0 }, levels);
  return levels;
}
