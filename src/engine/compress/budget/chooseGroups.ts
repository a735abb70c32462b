import { prepareAllocation, type PreparedAllocation } from '../../../common/allocation/prepareAllocation';
import type { AllocationItem } from '../../../common/allocation/types';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { AllocationReport } from '../../../protocol/report';
import type { OutputWriter } from '../../outputs/writers/outputWriter';
import { layerOf, type TensorPlan } from '../plan';
import { groupingOf } from '../quantizers/parameters';
import { enoughScales } from './enoughScales';
import { plannedAlone } from './options';
import { dequantize } from '../../outputs/planned/dequantize';
import { mixedSize } from '../../outputs/planned/plannedSizes';
import type { MatrixLayout } from '../../outputs/planned/plannedTensor';
import type { ChosenWidths } from './chosenWidths';
import { measuring, type Measure, type MeasureContext, type Sensitivity, type Weighting } from './measure';
import { bitsOfGroup, type MixedGrid } from './mixedBits';
import { bitsAlone, readMatrix } from '../planning/sourceReader';

/** Group size where none is given. */
const defaultGroupSize = 64;
/** Items of a report; of more, sums per tensor. */
const reportedItems = 20_000;
/** Tries to bring what the format really stores under the budget. */
const mostTries = 6;

/** One tensor cut into units that get a width each. */
interface CutTensor {
  readonly plan: TensorPlan;
  readonly grid: MixedGrid;
  /** Groups of one unit: 1, or those of a row. */
  readonly groupsOfUnit: number;
  /** Place of its first unit among all items. */
  readonly first: number;
  readonly units: number;
}

/**
 * As chooseWidths, for output channels or groups: each gets 0 (pruned) to 8 bits, or what was given. Errors: `unsupported` for formats with one width for a tensor
 * and for measures of whole tensors; `invalid-argument` for a budget below the smallest possible.
 */
export async function chooseGroups(
  context: MeasureContext & { readonly writer: OutputWriter },
  measure: Measure,
  unit: 'channel' | 'group',
): Promise<ChosenWidths> {
  const { spec, plan, writer } = context;
  if (!writer.mixesWidths)
    throw new LoomweightError(
      'unsupported',
      `The format ${writer.id} stores one width per tensor. Use onnx-packed, archive or hf for --unit ${unit}, or use --unit tensor.`,
      { format: writer.id, unit },
    );
  if (measure.wholeTensors)
    throw new LoomweightError(
      'unsupported',
      `--sensitivity ${measure.id} measures whole tensors only; use gradient, activation or error for --unit ${unit}.`,
      {
        sensitivity: measure.id,
        unit,
      },
    );
  const sensitivity = await measure.measure(context);
  const tensors: CutTensor[] = [];
  const items: AllocationItem[] = [];
  const leftAlone = new Set<string>();
  let aloneBits = 0;
  try {
    for (const planned of plan.values()) {
      throwIfCancelled(context.signal);
      if (planned.pinned === 16) {
        const { name, shape } = planned.tensor;
        const storedBits = bitsAlone(context.source, name);
        items.push({ tensor: name, weights: shape[0] * shape[1], options: [{ bits: 16, storedBits, loss: 0 }] });
        leftAlone.add(name);
        aloneBits += storedBits;
        continue;
      }
      tensors.push(await cutTensor(context, planned, unit, sensitivity, items));
      measuring(context, tensors.length, plan.size);
    }
  } finally {
    await sensitivity.release();
  }
  const prepared = prepareAllocation(items);
  const planOf = (groupBits: readonly Uint8Array[]): ReadonlyMap<string, TensorPlan> =>
    new Map(
      tensors.map(({ plan: planned }, index) => [planned.tensor.name, withGroupBits(planned, groupBits[index] as Uint8Array)] as const),
    );
  const { chosen, loss, groupBits, stored } = withinBudget(prepared, tensors, writer, spec.budget as number, aloneBits);
  const chosenPlan = planOf(groupBits);
  return {
    plan: chosenPlan,
    bitsPerWeight: stored / prepared.weights,
    leftAlone,
    at: (bitsPerWeight) => {
      // Padding of the format is left out here: these sizes are not written.
      const result = prepared.at(bitsPerWeight * prepared.weights);
      const widths = tensors.map((tensor) => widthsOf(tensor, prepared.items, result.chosen));
      return result.met ? { plan: planOf(widths), bitsPerWeight: result.storedBits / prepared.weights } : undefined;
    },
    allocation: {
      budget: spec.budget as number,
      unit,
      sensitivity: measure.id,
      predictedLoss: loss,
      curve: prepared.curve(),
      ...reported(items, chosen, tensors),
    },
  };
}

/** A plan whose groups have these widths, [rows, groups]. */
function withGroupBits(planned: TensorPlan, groupBits: Uint8Array): TensorPlan {
  const parameters = { ...planned.parameters, bits: Math.max(1, ...new Set(groupBits)) };
  const layout: MatrixLayout = { ...(planned.quantizer.layoutOf(planned.tensor, parameters) as MatrixLayout), widthsByGroup: true };
  return { ...planned, parameters, groupBits, layout, size: mixedSize(layout, groupBits) };
}

async function cutTensor(
  { source }: MeasureContext,
  planned: TensorPlan,
  unit: 'channel' | 'group',
  sensitivity: Sensitivity,
  items: AllocationItem[],
): Promise<CutTensor> {
  const { tensor, quantizer, given } = planned;
  const [rows, columns] = tensor.shape;
  const clip = quantizer.budgetChoices?.['clip']?.[0];
  const weighting = sensitivity.weightingOf(tensor.name);
  const cut: TensorPlan = {
    ...planned,
    parameters: {
      ...planned.parameters,
      ...(given.has('groupSize') ? {} : { groupSize: defaultGroupSize }),
      ...(clip === undefined || given.has('clip') ? {} : { clip }),
    },
    ...(weighting.columnWeights ? { importance: weighting.columnWeights } : {}),
  };
  const { groupSize, groupsPerRow, granularity } = groupingOf(rows, columns, cut.parameters);
  if (granularity === 'tensor')
    throw new LoomweightError(
      'invalid-argument',
      `--unit ${unit} requires groups or rows with their own scales; it cannot be combined with --group-size tensor.`,
    );
  const widths = cut.pinned === 0 ? [0] : given.has('bits') ? [Number(cut.parameters['bits'])] : [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const weights = await readMatrix(source, tensor);
  // All widths of a tensor share one type of scales, and the widest has the smallest scales.
  const widest = { ...cut.parameters, bits: Math.max(1, ...widths) };
  const plan: TensorPlan = { ...cut, parameters: { ...enoughScales(cut, weights, cut.importance)(widest), bits: cut.parameters['bits']! } };
  const grid: MixedGrid = {
    columns,
    groupSize,
    groupsPerRow,
    symmetric: plan.parameters['symmetric'] === true,
    scaleBits: plan.parameters['scales'] === 'float32' ? 32 : 16,
  };
  const groupsOfUnit = unit === 'group' ? 1 : groupsPerRow;
  const units = (rows * groupsPerRow) / groupsOfUnit;
  const losses: (readonly number[])[] = [];
  for (const bits of widths) {
    const errors = unitErrors(plan, weights, bits, weighting, units, groupsOfUnit * groupSize);
    losses.push(await sensitivity.losses({ plan, weights, weighting, options: [], errors }));
  }
  const first = items.length;
  for (let index = 0; index < units; index += 1) {
    const groups = Array.from({ length: groupsOfUnit }, (_, place) => index * groupsOfUnit + place);
    items.push({
      tensor: tensor.name,
      weights: groups.reduce((sum, group) => sum + Math.min(groupSize, columns - (group % groupsPerRow) * groupSize), 0),
      options: widths.map((bits, place) => ({
        bits,
        storedBits: groups.reduce((sum, group) => sum + bitsOfGroup(grid, group, bits), 0),
        loss: (losses[place] as readonly number[])[index] as number,
      })),
    });
  }
  return { plan, grid, groupsOfUnit, first, units };
}

/** Weighted squared error of each unit of `length` columns, rounded with that width; 0 bits lose everything. */
function unitErrors(plan: TensorPlan, weights: Float32Array, bits: number, weighting: Weighting, units: number, length: number): number[] {
  const [rows, columns] = plan.tensor.shape;
  const { columnWeights, elementWeights } = weighting;
  const context = { tensor: plan.tensor, weights, ...(plan.importance ? { importance: plan.importance } : {}) };
  const rounded = bits === 0 ? undefined : dequantize(plannedAlone(plan.quantizer)(context, { ...plan.parameters, bits }));
  const sums = new Float64Array(units);
  const perRow = units / rows;
  for (let row = 0, index = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1, index += 1) {
      const error = (rounded?.[index] ?? 0) - (weights[index] as number);
      const weight = elementWeights ? (elementWeights[index] as number) : columnWeights ? (columnWeights[column] as number) : 1;
      const unit = row * perRow + Math.min(perRow - 1, Math.floor(column / length));
      sums[unit] = (sums[unit] as number) + weight * error * error;
    }
  return [...sums];
}

/** The best choice of which the format's own size stays within the budget: padding and tables are known only once widths are chosen. */
function withinBudget(
  prepared: PreparedAllocation,
  tensors: readonly CutTensor[],
  writer: OutputWriter,
  budget: number,
  aloneBits: number,
): { readonly chosen: readonly number[]; readonly loss: number; readonly groupBits: readonly Uint8Array[]; readonly stored: number } {
  const allowed = budget * prepared.weights;
  let target = allowed;
  let smallest = prepared.at(0).smallestBits;
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const result = prepared.at(target);
    if (!result.met) break;
    const groupBits = tensors.map((tensor) => widthsOf(tensor, prepared.items, result.chosen));
    const stored = tensors.reduce((sum, { plan }, index) => {
      const widths = groupBits[index] as Uint8Array;
      return sum + writer.storedBits(layerOf(withGroupBits(plan, widths)), widths);
    }, aloneBits);
    if (stored <= allowed) return { chosen: result.chosen, loss: result.loss, groupBits, stored };
    smallest = Math.max(smallest, result.smallestBits + stored - result.storedBits);
    target -= (stored - allowed) * 1.02 + 8;
  }
  const named = (Math.ceil((smallest / prepared.weights) * 1000) / 1000).toFixed(3);
  throw new LoomweightError(
    'invalid-argument',
    `A budget of ${budget} bits per weight is too small: including scales, zero points and the table of widths, these ${tensors.length} tensors need at least about ${named} in this format.`,
    { budget, smallest: smallest / prepared.weights },
  );
}

function widthsOf(
  { grid, groupsOfUnit, first, units, plan }: CutTensor,
  items: readonly AllocationItem[],
  chosen: readonly number[],
): Uint8Array {
  const widths = new Uint8Array(plan.tensor.shape[0] * grid.groupsPerRow);
  for (let unit = 0; unit < units; unit += 1) {
    const { bits } = items[first + unit]!.options[chosen[first + unit] as number]!;
    widths.fill(bits, unit * groupsOfUnit, (unit + 1) * groupsOfUnit);
  }
  return widths;
}

/** All items where a report can hold them, else one with sums for each tensor. */
function reported(
  items: readonly AllocationItem[],
  chosen: readonly number[],
  tensors: readonly CutTensor[],
): Pick<AllocationReport, 'items' | 'chosen'> {
  if (items.length <= reportedItems) return { items, chosen };
  const sums = tensors.map(({ plan, first, units }): AllocationItem => {
    const own = Array.from({ length: units }, (_, unit) => items[first + unit]!);
    const picked = own.map(({ options }, unit) => options[chosen[first + unit] as number]!);
    const weights = own.reduce((sum, item) => sum + item.weights, 0);
    return {
      tensor: plan.tensor.name,
      weights,
      options: [
        {
          bits: picked.reduce((sum, { bits }, unit) => sum + bits * own[unit]!.weights, 0) / weights,
          storedBits: picked.reduce((sum, { storedBits }) => sum + storedBits, 0),
          loss: picked.reduce((sum, { loss }) => sum + loss, 0),
        },
      ],
    };
  });
  const alone = items.filter(({ tensor }) => !tensors.some(({ plan }) => plan.tensor.name === tensor));
  const all = [...sums, ...alone];
  return { items: all, chosen: all.map(() => 0) };
}
