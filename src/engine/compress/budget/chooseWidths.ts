import { efficientOptions } from '../../../common/allocation/hull';
import { prepareAllocation } from '../../../common/allocation/prepareAllocation';
import type { AllocationItem } from '../../../common/allocation/types';
import type { ParamValues } from '../../../common/params';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { CompressSpec, SensitivityMeasure } from '../../../protocol/jobs';
import type { OutputWriter } from '../../outputs/writers/outputWriter';
import { layoutAndSize, type CompressPlan, type TensorPlan } from '../plan';
import type { ModelSource } from '../../models/modelSource';
import { chooseGroups } from './chooseGroups';
import { measuring, type MeasureContext, type Sensitivity, type Weighting } from './measure';
import type { ChosenWidths } from './chosenWidths';
import { findMeasure } from './measures';
import { optionErrors } from './optionErrors';
import { optionsWith, tensorOptions, type TensorOption } from './options';
import { enoughScales } from './enoughScales';
import { bitsAlone, readMatrix } from '../planning/sourceReader';

/** Width that means an unchanged tensor. */
const aloneBits = 16;

/**
 * Chooses width, group size and the other parameters that the method lets a budget choose for every tensor of the plan, so that all stored bits divided by all weights stay
 * within `spec.budget` and the predicted loss is small. Reads each tensor once. Errors: `invalid-argument` for a budget below the smallest possible (named) and
 * for one that leaves everything alone, and those of the measure.
 */
export async function chooseWidths(context: MeasureContext & { readonly writer: OutputWriter }): Promise<ChosenWidths> {
  const { spec, source, plan, writer } = context;
  const budget = spec.budget as number;
  if ('bits' in spec.parameters)
    throw new LoomweightError(
      'invalid-argument',
      'A budget chooses the bits of every tensor. Omit --bits, or set single tensors with --override.',
      { budget },
    );
  const measure = findMeasure(spec.sensitivity ?? defaultMeasure(source, spec));
  const applies = measure.appliesTo(source);
  if (applies !== true)
    throw new LoomweightError('unsupported', `--sensitivity ${measure.id} does not work here: ${applies}.`, { sensitivity: measure.id });

  if (measure.id === 'error' && spec.sensitivity === undefined)
    context.note(
      'Widths were chosen by the error of the weights alone; --calibration with typical text or data of the model chooses better ones.',
    );
  if (!measure.inNats) context.note(`Losses predicted by the sensitivity '${measure.id}' are relative numbers, not nats.`);
  if (spec.unit === 'channel' || spec.unit === 'group') return chooseGroups(context, measure, spec.unit);
  const pruned = [...plan.values()].find(({ pinned }) => pinned === 0);
  if (pruned)
    throw new LoomweightError(
      'invalid-argument',
      `'${pruned.tensor.name}' cannot be pruned as a whole: 0 bits require --unit channel or --unit group.`,
      { tensor: pruned.tensor.name },
    );
  const offered = new Map(
    [...plan].map(([name, planned]) => [name, planned.pinned === undefined ? tensorOptions(planned, writer) : []] as const),
  );
  checkBudget(source, plan, offered, budget);
  const sensitivity = await measure.measure(context);
  try {
    const tensors: { readonly plan: TensorPlan; readonly options: readonly TensorOption[]; readonly weighting: Weighting }[] = [];
    const items: AllocationItem[] = [];
    const counted = new Map<string, readonly TensorOption[]>();
    for (const [name, planned] of plan) {
      throwIfCancelled(context.signal);
      const weighting = sensitivity.weightingOf(name);
      const { options, losses } = await tried(planned, offered.get(name) as readonly TensorOption[], weighting, sensitivity, context);
      counted.set(name, options);
      tensors.push({ plan: planned, options, weighting });
      items.push(itemOf(planned, source, options, losses));
      measuring(context, items.length, plan.size);
    }
    checkBudget(source, plan, counted, budget);
    const prepared = prepareAllocation(items);
    const planAt = (bitsPerWeight: number) => {
      const result = prepared.at(bitsPerWeight * prepared.weights);
      const chosenPlan = new Map<string, TensorPlan>();
      const leftAlone = new Set<string>();
      result.chosen.forEach((index, place) => {
        const { plan: planned, options, weighting } = tensors[place]!;
        const option = items[place]!.options[index]!;
        if (option.bits === aloneBits) {
          leftAlone.add(planned.tensor.name);
          return;
        }
        const { parameters } = options.find(({ parameters: each }) => optionName(each, planned) === optionKey(option))!;
        chosenPlan.set(planned.tensor.name, withParameters(planned, parameters, weighting));
      });
      return { result, plan: chosenPlan, leftAlone, bitsPerWeight: result.storedBits / prepared.weights };
    };
    const made = planAt(budget);
    const { result, plan: chosenPlan, leftAlone } = made;
    if (chosenPlan.size === 0)
      throw new LoomweightError(
        'invalid-argument',
        `A budget of ${budget} bits per weight keeps every tensor unchanged, so there is nothing to compress. Use a smaller --budget.`,
        { budget },
      );
    return {
      plan: chosenPlan,
      bitsPerWeight: made.bitsPerWeight,
      leftAlone,
      at: (bitsPerWeight) => {
        const choice = planAt(bitsPerWeight);
        return choice.result.met ? choice : undefined;
      },
      allocation: {
        budget,
        unit: 'tensor',
        sensitivity: measure.id,
        predictedLoss: result.loss,
        curve: prepared.curve(),
        items,
        chosen: result.chosen,
      },
    };
  } finally {
    await sensitivity.release();
  }
}

/**
 * The measure where none was asked for. With calibration data gradients: they predict as well as measuring every tensor and cost less. Without, the error of the
 * weights: what is measured on random inputs misleads at few bits (loom-base at 2.28 bits: perplexity 62.5, uniform rounding 59.1, with a text 56.9).
 */
export function defaultMeasure(source: ModelSource, { calibration }: CompressSpec): SensitivityMeasure {
  const runs = source.decoder !== undefined || source.container.format === 'onnx';
  return runs && calibration !== undefined && calibration !== 'random' ? 'gradient' : 'error';
}

/** The options of a tensor as they will be stored, in the order of their size, with the loss that is predicted for each. A pinned tensor has none. */
async function tried(
  plan: TensorPlan,
  offered: readonly TensorOption[],
  weighting: Weighting,
  sensitivity: Sensitivity,
  { source, writer }: Pick<MeasureContext, 'source'> & { readonly writer: OutputWriter },
): Promise<{ readonly options: readonly TensorOption[]; readonly losses: readonly number[] }> {
  if (offered.length === 0) return { options: [], losses: [] };
  const weights = await readMatrix(source, plan.tensor);
  const options = optionsWith(plan, writer, offered, enoughScales(plan, weights, weighting.columnWeights));
  const errors = optionErrors(plan, weights, options, weighting);
  return { options, losses: await sensitivity.losses({ plan, weights, weighting, options, errors }) };
}

function itemOf(plan: TensorPlan, source: ModelSource, options: readonly TensorOption[], losses: readonly number[]): AllocationItem {
  const all = options.map((option, index) => {
    const { bits, ...rest } = chosenParameters(option.parameters, plan);
    return { bits: Number(bits), storedBits: option.storedBits, loss: losses[index] as number, parameters: rest };
  });
  const alone = bitsAlone(source, plan.tensor.name);
  if (plan.pinned === aloneBits || !plan.given.has('bits')) all.push({ bits: aloneBits, storedBits: alone, loss: 0, parameters: {} });
  return {
    tensor: plan.tensor.name,
    weights: plan.tensor.shape[0] * plan.tensor.shape[1],
    options: efficientOptions(all).map((index) => all[index]!),
  };
}

/** What a budget chose, without what was given or never varies. */
function chosenParameters(parameters: ParamValues, plan: TensorPlan): ParamValues {
  return Object.fromEntries(Object.keys(plan.quantizer.budgetChoices ?? {}).map((key) => [key, parameters[key]!]));
}

function optionName(parameters: ParamValues, plan: TensorPlan): string {
  const { bits, ...rest } = chosenParameters(parameters, plan);
  return optionKey({ bits: Number(bits), parameters: rest });
}

function optionKey({ bits, parameters }: { readonly bits: number; readonly parameters?: Readonly<Record<string, unknown>> }): string {
  return JSON.stringify([bits, parameters]);
}

function withParameters(plan: TensorPlan, parameters: ParamValues, { columnWeights }: Weighting): TensorPlan {
  return {
    ...plan,
    parameters,
    ...layoutAndSize(plan.quantizer, plan.tensor, parameters),
    ...(columnWeights === undefined ? {} : { importance: columnWeights }),
  };
}

/** The budget must hold the smallest options. Checked before anything is read, and once more when the type of the scales is known. */
function checkBudget(source: ModelSource, plan: CompressPlan, offered: ReadonlyMap<string, readonly TensorOption[]>, budget: number): void {
  let [bits, weights] = [0, 0];
  for (const [name, { tensor }] of plan) {
    const options = offered.get(name)!;
    bits += options.length === 0 ? bitsAlone(source, name) : Math.min(...options.map(({ storedBits }) => storedBits));
    weights += tensor.shape[0] * tensor.shape[1];
  }
  if (bits <= budget * weights) return;
  const smallest = (Math.ceil((bits / weights) * 1000) / 1000).toFixed(3);
  throw new LoomweightError(
    'invalid-argument',
    `A budget of ${budget} bits per weight is too small: including scales and zero points, these ${plan.size} tensors need at least ${smallest} in this format. Use --budget ${smallest} or more.`,
    { budget, smallest: bits / weights },
  );
}
