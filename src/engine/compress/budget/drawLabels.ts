import type { SeededRandom } from '../../../common/random';
import type { RuntimeTensor } from '../../runtime/types';

/** Labels drawn from the model's own distribution: one for each row of logits [rows, classes]; for one class 0 or 1. */
export function drawLabels(logits: Float32Array, classes: number, random: SeededRandom): RuntimeTensor {
  const rows = logits.length / classes;
  if (classes === 1) {
    const data = logits.map((logit) => (random.next() < 1 / (1 + Math.exp(-logit)) ? 1 : 0));
    return { dtype: 'float32', shape: [rows], data };
  }
  const data = new BigInt64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const start = row * classes;
    let largest = -Infinity;
    for (let index = 0; index < classes; index += 1) largest = Math.max(largest, logits[start + index] as number);
    let total = 0;
    for (let index = 0; index < classes; index += 1) total += Math.exp((logits[start + index] as number) - largest);
    let rest = random.next() * total;
    let chosen = 0;
    for (; chosen < classes - 1; chosen += 1) {
      rest -= Math.exp((logits[start + chosen] as number) - largest);
      if (rest < 0) break;
    }
    data[row] = BigInt(chosen);
  }
  return { dtype: 'int64', shape: [rows], data };
}
