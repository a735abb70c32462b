import type { ParamValue, ParamValues } from '../../../common/params';
import { LoomweightError } from '../../../protocol/errors';
import type { OutputWriter } from '../../outputs/writers/outputWriter';
import { layerOf, layoutAndSize, type TensorPlan } from '../plan';
import type { Quantizer } from '../quantizers/quantizer';

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
export function tensorOptions(plan: TensorPlan, writer: OutputWriter): readonly TensorOption[] {
  const { quantizer, parameters } = plan;
  const choices = quantizer.budgetChoices;
  if (choices?.['bits'] === undefined)
    throw new LoomweightError(
      'invalid-argument',
      `The method '${quantizer.id}' has no widths for a budget to choose. Use the method rtn.`,
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
    options.push(...optionOf(plan, writer, candidate));
  }
  if (options.length === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The format ${writer.id} supports none of the widths and groups allowed for '${plan.tensor.name}'. Use the format onnx-packed, or different parameters.`,
      { tensor: plan.tensor.name, format: writer.id },
    );
  return options.sort((a, b) => a.storedBits - b.storedBits);
}

/** The options with the parameters that `parametersOf` makes of theirs, without those that the format then cannot hold. */
export function optionsWith(
  plan: TensorPlan,
  writer: OutputWriter,
  options: readonly TensorOption[],
  parametersOf: (parameters: ParamValues) => ParamValues,
): readonly TensorOption[] {
  const changed = options.flatMap((option) => {
    const parameters = parametersOf(option.parameters);
    return parameters === option.parameters ? [option] : optionOf(plan, writer, parameters);
  });
  return changed.sort((a, b) => a.storedBits - b.storedBits);
}

/** One option, or none if the format cannot hold it. */
function optionOf(plan: TensorPlan, writer: OutputWriter, parameters: ParamValues): TensorOption[] {
  const layer = layerOf({ ...plan, parameters, ...layoutAndSize(plan.quantizer, plan.tensor, parameters) });
  return writer.refuses(layer) === undefined ? [{ parameters, storedBits: writer.storedBits(layer) }] : [];
}

/** The function by which a budget tries a method. Errors: `invalid-argument` where the method plans whole blocks only. */
export function plannedAlone(quantizer: Quantizer): NonNullable<Quantizer['plan']> {
  if (quantizer.plan) return (offered, parameters) => quantizer.plan!(offered, parameters);
  throw new LoomweightError(
    'invalid-argument',
    `The method '${quantizer.id}' plans whole blocks, so a budget cannot compare widths with it. Use the method rtn with --budget.`,
    { method: quantizer.id },
  );
}

/** Groups as long as a row and longer are rows. */
function shortened(parameters: ParamValues, columns: number): ParamValues {
  const groupSize: ParamValue | undefined = parameters['groupSize'];
  return typeof groupSize === 'number' && groupSize >= columns ? { ...parameters, groupSize: 'row' } : parameters;
}
