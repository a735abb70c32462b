import type { TensorPlan } from './plan';
import type { QuantizedMatrix } from './quantizers/quantizer';

/**
 * Rounds a matrix whose groups have widths of their own: the method plans it once for each width that occurs, and every group takes its own from there. Groups of
 * 0 bits are pruned: codes, scale and zero point are 0. `groupBits` [rows, groups] goes with the parameters' group size.
 */
export function planMixed(plan: TensorPlan, weights: Float32Array, groupBits: Uint8Array): QuantizedMatrix {
  const [rows, columns] = plan.tensor.shape;
  const widths = [...new Set(groupBits)].filter((bits) => bits > 0).sort((a, b) => a - b);
  const codes = new Uint8Array(rows * columns);
  const scales = new Float32Array(groupBits.length);
  const zeroPoints = new Uint8Array(groupBits.length);
  const perRow = groupBits.length / rows;
  let layout: QuantizedMatrix | undefined;
  for (const bits of widths.length > 0 ? widths : [1]) {
    const context = { tensor: plan.tensor, weights, ...(plan.importance ? { importance: plan.importance } : {}) };
    const matrix = plan.quantizer.plan(context, { ...plan.parameters, bits });
    layout = matrix;
    for (let group = 0; group < groupBits.length; group += 1) {
      if (groupBits[group] !== bits) continue;
      const row = Math.floor(group / perRow);
      const start = row * columns + (group % perRow) * matrix.groupSize;
      const end = Math.min(start + matrix.groupSize, (row + 1) * columns);
      codes.set(matrix.codes.subarray(start, end), start);
      scales[group] = matrix.scales[group] as number;
      zeroPoints[group] = matrix.zeroPoints[group] as number;
    }
  }
  return { ...(layout as QuantizedMatrix), codes, scales, zeroPoints, groupBits };
}
