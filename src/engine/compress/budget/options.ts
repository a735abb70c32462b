import type { ParamValue, ParamValues } from '../../../common/params';
import { LoomweightError } from '../../../protocol/errors';
import type { Exporter } from '../../outputs/writers/exporter';
import type { TensorPlan } from '../plan';

/** One way to store a tensor that the format can hold. */
export interface TensorOption {
  readonly parameters: ParamValues;
  /** Codes, scales and zero points as the format stores them. */
  readonly storedBits: number;
}

/**
 * Every combination of the method's choices that the format can hold, except that what was given stays as given. Errors: `invalid-argument` where the method has no
 * widths to choose, or the format holds none of the combinations.
 */
export function tensorOptions(plan: TensorPlan, exporter: Exporter): readonly TensorOption[] {
  const { quantizer, parameters } = plan;
  const choices = quantizer.budgetChoices;
  if (choices?.['bits'] === undefined)
    throw new LoomweightError(
      'invalid-argument',
      `The method '${quantizer.id}' has no widths that a budget could choose. Take the method rtn.`,
      {
        method: quantizer.id,
      },
    );
  let combinations: ParamValues[] = [parameters];
  for (const [key, values] of Object.entries(choices)) {
    if (plan.given.has(key)) continue;
    combinations = combinations.flatMap((combination) => values.map((value) => ({ ...combination, [key]: value })));
  }
  const seen = new Set<string>();
  const options: TensorOption[] = [];
  for (const combination of combinations) {
    const candidate = plan.given.has('groupSize') ? combination : shortened(combination, plan.tensor.shape[1]);
    const name = JSON.stringify(candidate);
    if (seen.has(name)) continue;
    seen.add(name);
    const planned = { ...plan, parameters: candidate, estimate: quantizer.estimate(plan.tensor, candidate) };
    if (exporter.refuses?.(planned) !== undefined) continue;
    const { codeBits, scaleBits, zeroPointBits } = planned.estimate;
    options.push({ parameters: candidate, storedBits: exporter.storedBits?.(planned) ?? codeBits + scaleBits + zeroPointBits });
  }
  if (options.length === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The format ${exporter.id} can hold none of the widths and groups that '${plan.tensor.name}' may have. Take the format onnx-packed, or other parameters.`,
      { tensor: plan.tensor.name, format: exporter.id },
    );
  return options.sort((a, b) => a.storedBits - b.storedBits);
}

/** Groups as long as a row and longer are rows. */
function shortened(parameters: ParamValues, columns: number): ParamValues {
  const groupSize: ParamValue | undefined = parameters['groupSize'];
  return typeof groupSize === 'number' && groupSize >= columns ? { ...parameters, groupSize: 'row' } : parameters;
}
