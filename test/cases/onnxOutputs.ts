import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { float16ToNumber, numberToFloat16 } from '../../src/common/halfFloat';
import { SeededRandom } from '../../src/common/random';
import { plainOrt } from '../support/ort';

const options: InferenceSession.SessionOptions = { logSeverityLevel: 4, graphOptimizationLevel: 'disabled' };

/** Loads a model with ONNX Runtime itself, without the product; an exception says that the runtime refuses it. */
export async function loadInOnnxRuntime(path: string): Promise<InferenceSession> {
  return plainOrt.InferenceSession.create(path, options);
}

/** A random input of a type and shape as the session's metadata give them; named and unknown axes have length 3. */
function randomInput(type: string, shape: readonly (number | string)[], random: SeededRandom): Tensor {
  const sizes = shape.map((size) => (typeof size === 'number' && size > 0 ? size : 3));
  const values = Array.from({ length: sizes.reduce((product, size) => product * size, 1) }, () => random.next() * 2 - 1);
  switch (type) {
    case 'float32':
      return new plainOrt.Tensor('float32', Float32Array.from(values), sizes);
    case 'float16':
      return new plainOrt.Tensor('float16', Uint16Array.from(values, numberToFloat16), sizes);
    case 'bool':
      return new plainOrt.Tensor(
        'bool',
        Uint8Array.from(values, (value) => (value > 0 ? 1 : 0)),
        sizes,
      );
    default:
      throw new Error(`The cases have no inputs of type ${type}.`);
  }
}

function numbers(tensor: Tensor): number[] {
  if (tensor.type === 'float32') return Array.from(tensor.data as Float32Array);
  if (tensor.type === 'float16') return Array.from(tensor.data as Uint16Array, float16ToNumber);
  throw new Error(`The cases have no outputs of type ${tensor.type}.`);
}

/**
 * The largest difference of two models' outputs for the same random inputs, as a share of the largest finite output of the first.
 * NaN and infinity must be in the same places with the same signs; otherwise Infinity.
 */
export async function differenceOfOutputs(first: string, second: string): Promise<number> {
  const [source, result] = await Promise.all([loadInOnnxRuntime(first), loadInOnnxRuntime(second)]);
  try {
    const random = new SeededRandom(7);
    const feeds: Record<string, Tensor> = {};
    for (const input of source.inputMetadata) if (input.isTensor) feeds[input.name] = randomInput(input.type, input.shape, random);
    const [expected, actual] = await Promise.all([source.run(feeds), result.run(feeds)]);
    let largest = 0;
    let difference = 0;
    for (const name of source.outputNames) {
      const one = numbers(expected[name]!);
      const other = numbers(actual[name]!);
      if (one.length !== other.length) return Infinity;
      for (const [index, value] of one.entries()) {
        if (Object.is(value, other[index])) {
          if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
          continue;
        }
        const distance = Math.abs(value - other[index]!);
        if (!Number.isFinite(distance)) return Infinity;
        largest = Math.max(largest, Math.abs(value));
        difference = Math.max(difference, distance);
      }
    }
    return largest > 0 ? difference / largest : difference;
  } finally {
    await Promise.all([source.release(), result.release()]);
  }
}
