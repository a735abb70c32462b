import { LoomweightError } from '../../../protocol/errors';
import { elementCount, type DType } from '../../../protocol/dtypes';
import { float16ToNumber } from '../../../common/halfFloat';
import type { RuntimeTensor } from '../../runtime/types';

/** An array with samples along its first axis. float16 is a Uint16Array of bit patterns. */
export type SampleArray = RuntimeTensor;

/** One split of a data set: an array for each graph input, and labels. */
export interface DataSplit {
  /** For messages: folder or file, and the split's name. */
  readonly description: string;
  readonly samples: number;
  readonly inputs: ReadonlyMap<string, SampleArray>;
  readonly labels: SampleArray;
}

/** A graph input that data must fit. A name in a shape means any length. */
export interface InputSignature {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

/**
 * Checks data against a graph's inputs before anything runs: every input present, shapes equal (symbolic axes take any
 * length), types convertible without loss, as many labels as samples. Errors: `invalid-argument` with both shapes in the message.
 */
export function checkSplit(split: DataSplit, inputs: readonly InputSignature[]): void {
  const bound = new Map<string, { length: number; input: string }>();
  for (const { name, dtype, shape } of inputs) {
    const array = split.inputs.get(name);
    if (!array)
      throw new LoomweightError(
        'invalid-argument',
        `The graph's input '${name}' has no data in ${split.description}, which has data for: ${[...split.inputs.keys()].join(', ') || 'none'}.`,
        { input: name },
      );
    const fits =
      array.shape.length === shape.length && shape.every((axis, i) => typeof axis === 'string' || i === 0 || axis === array.shape[i]);
    if (!fits)
      throw new LoomweightError(
        'invalid-argument',
        `The graph's input '${name}' takes [${shape.join(', ')}], but the data in ${split.description} has shape [${array.shape.join(', ')}]. Reshape the data, or choose the data set made for this model.`,
        { input: name, expected: shape, actual: array.shape },
      );
    for (const [i, axis] of shape.entries()) {
      if (typeof axis !== 'string' || i === 0) continue;
      const length = array.shape[i] as number;
      const earlier = bound.get(axis);
      if (earlier && earlier.length !== length)
        throw new LoomweightError(
          'invalid-argument',
          `Inputs '${earlier.input}' and '${name}' share the axis '${axis}', but the data has lengths ${earlier.length} and ${length}.`,
          { axis },
        );
      bound.set(axis, { length, input: name });
    }
    if (!canConvert(array.dtype, dtype))
      throw new LoomweightError(
        'invalid-argument',
        `The graph's input '${name}' is ${dtype}, but the data in ${split.description} is ${array.dtype}, which cannot be converted without loss.`,
        { input: name, expected: dtype, actual: array.dtype },
      );
    if (array.shape[0] !== split.samples)
      throw new LoomweightError(
        'invalid-argument',
        `Input '${name}' has ${array.shape[0]} samples, but the labels have ${split.samples}, in ${split.description}.`,
        { input: name },
      );
  }
  if (split.samples === 0) throw new LoomweightError('invalid-argument', `${split.description} has no samples.`);
}

const integerRanges: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  bool: [0, 1],
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
  uint32: [0, 2 ** 32 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
};
/** Whole numbers up to this size are exact in the float type. */
const exactIntegers: Readonly<Partial<Record<string, number>>> = { float16: 2 ** 11, float32: 2 ** 24, float64: 2 ** 53 };
const floatOrder = ['float16', 'float32', 'float64'];

/** True if every value of the one type is a value of the other; float64 may also be narrowed to float32, as tables store it. */
export function canConvert(from: DType, to: string): boolean {
  if (from === to || (from === 'float64' && to === 'float32')) return true;
  const range = integerRanges[from];
  if (!range) return floatOrder.indexOf(from) >= 0 && floatOrder.indexOf(to) > floatOrder.indexOf(from);
  const exact = exactIntegers[to];
  if (exact !== undefined) return range[1] <= exact && -range[0] <= exact;
  const target = integerRanges[to as DType];
  return target !== undefined && target[0] <= range[0] && range[1] <= target[1];
}

/** Samples `start` to `start + count - 1` of an array as the graph's input type. */
export function sliceSamples(array: SampleArray, start: number, count: number, dtype: string): RuntimeTensor {
  const width = elementCount(array.shape.slice(1));
  const shape = [count, ...array.shape.slice(1)];
  const slice = array.data.subarray(start * width, (start + count) * width);
  if (dtype === array.dtype) return { dtype: array.dtype, shape, data: slice };
  if (dtype === 'int64' || dtype === 'uint64') {
    const wide = Array.from(slice as ArrayLike<number | bigint>, BigInt);
    return { dtype, shape, data: dtype === 'int64' ? BigInt64Array.from(wide) : BigUint64Array.from(wide) };
  }
  const read = array.dtype === 'float16' ? (value: number | bigint) => float16ToNumber(Number(value)) : Number;
  const numbers = Array.from(slice as ArrayLike<number | bigint>, read);
  switch (dtype) {
    case 'float32':
      return { dtype, shape, data: Float32Array.from(numbers) };
    case 'float64':
      return { dtype, shape, data: Float64Array.from(numbers) };
    case 'int32':
      return { dtype, shape, data: Int32Array.from(numbers) };
    case 'uint32':
      return { dtype, shape, data: Uint32Array.from(numbers) };
    case 'int16':
      return { dtype, shape, data: Int16Array.from(numbers) };
    case 'uint16':
      return { dtype, shape, data: Uint16Array.from(numbers) };
    default:
      throw new LoomweightError('unsupported', `Data of type ${array.dtype} cannot be fed to an input of type ${dtype}.`, { dtype });
  }
}
