import type { OutputChange } from '../../../protocol/report';
import { areDistributions } from '../../evaluate/classScores';
import { isFloat } from './judgeOutputs';
import { differenceOf } from './measures';
import { outputChange } from './outputChange';
import type { OutputValues } from './outputValues';

/**
 * Largest share of whole numbers (classes, places) that may become others. With the norm of the scores before an ArgMax changed by 50 %, about 45 % of the answers among
 * 32 classes change and 15 % among two.
 */
const mostUnequal = 0.25;

/** What the outputs of the float model and of the planned weights say of one another. */
export interface ChangeOfOutputs {
  /** The output nearest to its limit, or farthest beyond it. Undefined if nothing could be compared. */
  readonly change: OutputChange | undefined;
  /** What a user must know to read it. */
  readonly notes: readonly string[];
}

/**
 * How far the planned weights move the outputs of the float model. Floats: norm of the difference divided by the norm; whole numbers: the share that is no longer the same,
 * or, where they are codes of quantised values, the norm of the difference divided by that of their deviations from the mean, whichever is smaller. Outputs that show nothing
 * (see `showsNothing`) do not count. `probabilities`: names of the outputs that the graph makes by a Softmax or a Sigmoid.
 */
export function changeOf(
  float: readonly OutputValues[],
  planned: readonly OutputValues[],
  probabilities: ReadonlySet<string> = new Set(),
): ChangeOfOutputs {
  const notes: string[] = [];
  let worst: OutputChange | undefined;
  for (const [index, output] of float.entries()) {
    const other = planned[index];
    const why = other && showsNothing(output, other);
    if (why) {
      notes.push(
        `Output '${output.name}' ${why} on random inputs with and without compression, so it does not show how far compression moved it.`,
      );
      continue;
    }
    const values = other?.values ?? new Float32Array(0);
    const next = isFloat(output) ? changeOfFloats(output, values, probabilities.has(output.name), notes) : changeOfNumbers(output, values);
    // Also where one is not a number.
    if (worst === undefined || !(share(next) <= share(worst))) worst = next;
  }
  return { change: worst, notes };
}

/** Why equality of an output on both sides says nothing about the weights: none of its values is finite, or all are the same. Undefined if it says something. */
export function showsNothing({ values }: OutputValues, other: OutputValues): string | undefined {
  const [first] = values;
  if (other.values.length !== values.length) return undefined;
  if (values.length === 0) return 'is empty';
  if (!values.some(Number.isFinite) && !other.values.some(Number.isFinite)) return 'has no finite value';
  const same = (value: number): boolean => value === first;
  if (values.length > 1 && values.every(same) && other.values.every(same)) return 'is constant';
  return undefined;
}

function share({ measured, limit }: OutputChange): number {
  return measured / limit;
}

function changeOfFloats(output: OutputValues, found: OutputValues['values'], made: boolean, notes: string[]): OutputChange {
  const { norm, nonFinite } = differenceOf(output.values, found);
  if (nonFinite > norm) return outputChange('outputs', nonFinite);
  const change = outputChange('outputs', norm);
  const size = made || rowsAddUpToOne(output) ? sizeOfProbabilities(output) : 1;
  if (!(size < 1) || norm === 0) return change;
  const limit = change.limit / size;
  if (norm > change.limit)
    notes.push(
      `Output '${output.name}' holds probabilities close to 0, which small changes move by many times their own size: more than ${Number((100 * limit).toPrecision(3))} % is a lot there.`,
    );
  return { ...change, limit };
}

/** True where every row along the last axis has at least two values and they add up to 1, with none below 0. */
function rowsAddUpToOne({ shape, values, dtype }: OutputValues): boolean {
  const length = shape.at(-1) ?? 1;
  return length >= 2 && areDistributions(values, length, dtype === 'float16' || dtype === 'bfloat16' ? 1e-2 : 1e-4);
}

/**
 * The norm of probabilities relative to the one that they could have, half of the one that a row of classes adds up to, at most 1. They may all be close to 0, as those of a
 * detector that has heard nothing.
 */
function sizeOfProbabilities({ shape, values }: OutputValues): number {
  let total = 0;
  for (const value of values) total += value * value;
  const rows = values.length / Math.max(1, shape.at(-1) ?? 1);
  return Math.min(1, Math.sqrt(total) / (0.5 * Math.sqrt(rows)));
}

function changeOfNumbers({ dtype, values }: OutputValues, found: OutputValues['values']): OutputChange {
  const { unequal } = differenceOf(values, found);
  const places: OutputChange = { of: 'outputs', measured: unequal, limit: mostUnequal, unit: 'share of values' };
  if (dtype === 'bool' || unequal === 0 || found.length !== values.length) return places;
  let total = 0;
  for (const value of values) total += value;
  const mean = total / values.length;
  const { norm } = differenceOf(
    values.map((value) => value - mean),
    found.map((value) => value - mean),
  );
  return norm < unequal ? outputChange('outputs', norm) : places;
}
