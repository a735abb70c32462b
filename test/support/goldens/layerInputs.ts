import type { Statistic } from '../../../src/engine/blocks/taps/tap';
import { float32Of, type GoldenTensor } from './golden';

/** Gram matrix of a layer's inputs [samples, tokens, columns], as the taps sum it, in float64. */
export function gramOf(inputs: GoldenTensor): Statistic {
  const [windows, length, columns] = inputs.shape as [number, number, number];
  const x = float32Of(inputs);
  const values = new Float64Array(columns * columns);
  for (let token = 0; token < x.length; token += columns)
    for (let row = 0; row < columns; row += 1)
      for (let column = 0; column < columns; column += 1)
        values[row * columns + column]! += (x[token + row] as number) * (x[token + column] as number);
  return { shape: [columns, columns], tokens: windows * length, windows, values };
}

/** Squares of the outputs' differences, summed over outputs and averaged over activation rows, in float64. */
export function outputError(weights: Float32Array, changed: Float32Array, activations: Float32Array, columns: number): number {
  const rows = weights.length / columns;
  let sum = 0;
  for (let token = 0; token < activations.length; token += columns)
    for (let row = 0; row < rows; row += 1) {
      let difference = 0;
      for (let column = 0; column < columns; column += 1)
        difference +=
          ((changed[row * columns + column] as number) - (weights[row * columns + column] as number)) *
          (activations[token + column] as number);
      sum += difference * difference;
    }
  return sum / (activations.length / columns);
}
