import { smallest } from '../../../src/engine/compress/pruners/magnitude';
import { leastContributing } from '../../../src/engine/compress/pruners/wanda';
import type { Pruned } from '../../../src/engine/compress/pruners/masks';
import { float32Of, inputTensor, numberParam, type Golden, type GoldenCheck, type GoldenRunner } from './golden';
import { outputError } from './layerInputs';

/** `n` of each `m` consecutive weights are pruned; 0 of 0: none in particular. */
export function wanted(golden: Golden) {
  const [n, m] = [numberParam(golden, 'n'), numberParam(golden, 'm')];
  return { sparsity: numberParam(golden, 'sparsity'), ...(m > 0 ? { window: { kept: m - n, m } } : {}) };
}

function compare(golden: Golden, check: GoldenCheck, weights: Float32Array, pruned: Pruned): void {
  const columns = inputTensor(golden, 'w').shape[1] as number;
  const result = weights.map((weight, index) => (pruned[index] === 1 ? 0 : weight));
  check.compare('pruned', result);
  check.compare(
    'zeros',
    result.reduce((count, weight) => count + (weight === 0 ? 1 : 0), 0),
  );
  // Sums over outputs in float32 by the reference.
  check.compare('output_error', outputError(weights, result, float32Of(inputTensor(golden, 'x')), columns), { abs: 1e-6, rel: 1e-5 });
}

/** Magnitude pruning as the authors of Wanda do it for comparison. */
export const magnitude: GoldenRunner = (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  compare(golden, check, weights, smallest(weights, inputTensor(golden, 'w').shape[1] as number, wanted(golden)));
};

/** Wanda as its authors do it. */
export const wanda: GoldenRunner = (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  const { shape, data } = inputTensor(golden, 'x');
  const columns = shape[2] as number;
  const moments = new Float64Array(columns);
  Float32Array.from(data).forEach((value, index) => (moments[index % columns]! += (value * value) / (shape[0] as number)));
  compare(golden, check, weights, leastContributing(weights, moments, wanted(golden), golden.params['variant'] === true));
};
