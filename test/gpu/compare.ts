import type { RuntimeTensor } from '../../src/engine/runtime/types';
import type { CheckedProvider } from './document';

/**
 * Largest relative difference that float32 sums in another order may have. Operands rounded to TF32 (10 bits) are over it, float32 kernels are
 * one to two orders of magnitude below. WebGPU promises sines and cosines to 2^-11 only (WebGPU Shading Language, section "Concrete floating point accuracy").
 */
export const tolerances: Readonly<Record<CheckedProvider, number>> = { cuda: 1e-4, cpu: 1e-4, webgpu: 5e-4 };

/** Values of an output as numbers; float16 patterns are compared as they are. */
export function numbersOf({ data }: Pick<RuntimeTensor, 'data'>): Float64Array {
  return Float64Array.from(data as ArrayLike<number | bigint>, Number);
}

/**
 * Largest difference over the largest expected value (at least 1e-3). Equal infinities and NaN against NaN count as equal; NaN against a number, or another
 * length, as Infinity.
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let scale = 1e-3;
  for (let index = 0; index < expected.length; index += 1) {
    const magnitude = Math.abs(expected[index] as number);
    if (Number.isFinite(magnitude) && magnitude > scale) scale = magnitude;
  }
  let worst = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const [got, want] = [actual[index] as number, expected[index] as number];
    if (got === want || (Number.isNaN(got) && Number.isNaN(want))) continue;
    const error = Math.abs(got - want) / scale;
    if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
  }
  return worst;
}

/** What is wrong with an output, or undefined. 8-bit values may differ by a step, where a sum in another order is on the boundary; other whole numbers not at all. */
export function disagreement(
  name: string,
  actual: RuntimeTensor | undefined,
  expected: RuntimeTensor,
  tolerance: number,
): { readonly error?: number; readonly problem?: string } {
  if (actual === undefined) return { problem: `there is no output ${name}` };
  if (actual.dtype !== expected.dtype || String(actual.shape) !== String(expected.shape))
    return {
      problem: `${name} is ${actual.dtype} [${actual.shape.join(', ')}] instead of ${expected.dtype} [${expected.shape.join(', ')}]`,
    };
  const [got, want] = [numbersOf(actual), numbersOf(expected)];
  const isFloat = expected.dtype.startsWith('float');
  const error = relativeError(got, want);
  const wrong = isFloat
    ? !(error <= tolerance)
    : got.some((value, index) => Math.abs(value - (want[index] as number)) > steps(expected.dtype));
  return { ...(Number.isFinite(error) ? { error } : {}), ...(wrong ? { problem: `${name} differs by ${error.toExponential(1)}` } : {}) };
}

const steps = (dtype: string): number => (dtype === 'uint8' || dtype === 'int8' ? 1 : 0);
