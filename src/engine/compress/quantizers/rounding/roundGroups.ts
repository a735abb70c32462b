import type { QuantizedMatrix } from '../../../outputs/planned/plannedTensor';
import { placeTensor, rangeOfRows, roundRows, type RoundingOptions, type RoundingTarget } from './roundRows';

/**
 * Rounds every weight to the nearest of the 2^bits levels of its group.
 *
 *   asymmetric: low = min(0, min w), high = max(0, max w), zero = round(-low / scale)
 *   symmetric:  high = max |w|, low = -high,               zero = 2^(bits-1)
 *   scale = (high - low) / (2^bits - 1),  code = clamp(round(w / scale) + zero, 0, 2^bits - 1)
 *
 * With `clip` scale and zero point are then moved to where the squared error of the group is least. Zero is always a level. Rounding: half to even on the float32 quotient, as ONNX QuantizeLinear. Scales take their storage
 * type first: float16 rounds up, so that no end is cut off and every error stays within half a step; float32 rounds to
 * nearest. An all-zero group has scale 1 and comes back exactly.
 *
 * Shapes: `weights` [rows * columns] row-major (`transposed`: [columns * rows]), not changed. Errors: `malformed-file` for NaN or infinity (tensor and
 * position) and for a scale beyond float16. Source: the uniform quantiser of GPTQ, Frantar et al. 2022; ONNX QuantizeLinear.
 *
 * On the calling thread, for small matrices; `roundGroupsOnThreads` gives the same bytes on all threads. Measured: docs/benchmarks.md, `npm run bench rounding`.
 * The same as an ONNX graph (ReduceMin, ReduceMax, Div, Round, Clip, Cast) is about as fast on two cores; the loop stays, because its bytes depend on no provider.
 */
export function roundGroups(name: string, weights: Float32Array, rows: number, columns: number, options: RoundingOptions): QuantizedMatrix {
  const groups = rows * options.groupsPerRow;
  const target: RoundingTarget = {
    name,
    rows,
    columns,
    weights,
    options,
    codes: options.codes ?? new Uint8Array(rows * columns),
    scales: new Float32Array(groups),
    zeroPoints: new Uint8Array(groups),
  };
  if (options.granularity === 'tensor') placeTensor(target, ...rangeOfRows(target, 0, rows));
  roundRows(target, 0, rows);
  return matrixOf(target);
}

/** The finished matrix of a target. */
export function matrixOf({ rows, columns, options, codes, scales, zeroPoints }: RoundingTarget): QuantizedMatrix {
  const { bits, groupSize, granularity, symmetric, scaleDType } = options;
  return { kind: 'grouped', rows, columns, bits, groupSize, granularity, symmetric, codes, scales, scaleDType, zeroPoints };
}
