import { planMixed } from '../../mixedWidths';
import type { TensorPlan } from '../../plan';
import { dequantize } from '../../quantizeTensor';
import type { CompressSource } from '../../../models/modelSource';
import { readMatrix } from '../readMatrix';

/** A tensor rounded as planned: float32 [rows * columns] in the order of the plan. */
export async function roundedWeights(source: CompressSource, plan: TensorPlan): Promise<Float32Array> {
  const weights = await readMatrix(source, plan.tensor);
  if (plan.groupBits) return dequantize(planMixed(plan, weights, plan.groupBits));
  return dequantize(
    plan.quantizer.plan({ tensor: plan.tensor, weights, ...(plan.importance ? { importance: plan.importance } : {}) }, plan.parameters),
  );
}
