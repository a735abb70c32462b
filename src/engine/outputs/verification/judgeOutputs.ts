import type { DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { VerificationCheck } from '../../../protocol/report';
import { differenceOf, type Difference } from './measures';
import type { OutputValues } from './outputValues';

/**
 * Largest difference of an output from what was planned, relative to its own size: rounding of float32 sums in another order, through the layers of a model. The narrower
 * types add a few of their own rounding errors (2^-11 and 2^-8). Outputs in float64 may be float32 results that were cast, so theirs is that of float32.
 */
const relativeLimits: Partial<Record<DType, number>> = { float32: 1e-3, float64: 1e-3, float16: 4e-3, bfloat16: 3e-2 };
/** Where rounding alone already moves the outputs of the source, the result may differ by so many times that... */
const roundingRoom = 8;
/** ...but not by more than this: beyond it a check could not fail. */
const mostRelative = 0.5;
/** Share of places that may change where they do under rounding alone: signs before a logarithm, a class before a comparison. */
const mostPlaces = 0.25;

/** What an output may differ by. */
interface Limit {
  readonly largest: number;
  readonly norm: number;
  readonly beyond: number;
  readonly nonFinite: number;
  readonly unequal: number;
}

/** True where an output is judged by how near its values are, false where they must be equal. */
export function isFloat({ dtype }: OutputValues): boolean {
  return relativeLimits[dtype] !== undefined;
}

/** How `found` differs from an output, with the limit of the output's type. */
function compare({ dtype, values }: OutputValues, found: OutputValues | undefined): Difference {
  return differenceOf(values, found?.values ?? new Float32Array(0), relativeLimits[dtype]);
}

/**
 * Whole numbers and booleans must be equal, floats close to one another. `rounding`: how the output differs from itself under rounding alone. The largest difference may be that
 * of a single place, so norm and number of places have limits of their own: one value that rounding moves excuses no others.
 */
function limitOf({ dtype }: OutputValues, rounding?: Difference): Limit {
  const base = relativeLimits[dtype] ?? 0;
  const room = (share: number | undefined) => Math.min(mostPlaces, roundingRoom * (share ?? 0));
  const relative = (size: number | undefined) => Math.max(base, Math.min(mostRelative, roundingRoom * (size ?? 0)));
  return {
    largest: relative(rounding?.largest),
    norm: relative(rounding?.norm),
    beyond: roundingRoom * (rounding?.beyond ?? 0),
    nonFinite: room(rounding?.nonFinite),
    unequal: room(rounding?.unequal),
  };
}

/** How one output was judged. */
interface Judged {
  readonly output: OutputValues;
  readonly measured: number;
  readonly limit: number;
  readonly unit: string;
  readonly why?: string;
}

function judge(output: OutputValues, difference: Difference, rounding?: Difference): Judged {
  if (!difference.sameLength) {
    // The number of boxes that a detector finds, for example.
    if (rounding?.sameLength === false)
      return { output, measured: 0, limit: 0, unit: 'share of values', why: 'rounding alone changes its shape' };
    return { output, measured: 1, limit: 0, unit: 'share of values', why: 'its shape differs' };
  }
  const limit = limitOf(output, rounding);
  if (!isFloat(output)) return { output, measured: difference.unequal, limit: limit.unequal, unit: 'share of values' };
  const coarse = limit.largest > (relativeLimits[output.dtype] as number);
  if (difference.nonFinite > limit.nonFinite)
    return {
      output,
      measured: difference.nonFinite,
      limit: limit.nonFinite,
      unit: 'share of values',
      why: 'values that are finite on one side only',
    };
  if (coarse && difference.beyond > limit.beyond)
    return {
      output,
      measured: difference.beyond,
      limit: limit.beyond,
      unit: 'share of values',
      why: 'rounding alone moves far fewer values of the source',
    };
  // Also where it is not a number.
  if (!(difference.norm <= limit.norm))
    return { output, measured: difference.norm, limit: limit.norm, unit: 'relative', why: 'norm of the difference' };
  return {
    output,
    measured: difference.largest,
    limit: limit.largest,
    unit: 'relative',
    ...(coarse ? { why: 'rounding alone moves the outputs of the source; the limit is eight times that' } : {}),
  };
}

/** What a check needs to know of the model. */
export interface ExpectedOutputs {
  readonly planned: readonly OutputValues[];
  /** Outputs of the same graph with inputs and weights moved by their rounding error. Called only if an output exceeds the limit of its type. */
  rounded(): Promise<readonly OutputValues[]>;
}

/** The check of outputs that must be those of the planned weights, up to rounding: the one nearest to its limit is reported. */
export async function checkExact(
  name: string,
  expected: ExpectedOutputs,
  found: readonly OutputValues[],
  note?: string,
): Promise<VerificationCheck> {
  const { planned } = expected;
  if (found.length !== planned.length) return missingOutputs(name, planned.length, found.length);
  const differences = planned.map((output, index) => compare(output, found[index]));
  let judged = planned.map((output, index) => judge(output, differences[index] as Difference));
  if (judged.some(exceeds)) {
    const rounded = await expected.rounded();
    judged = planned.map((output, index) => judge(output, differences[index] as Difference, compare(output, rounded[index])));
  }
  return checkOf(name, judged, note);
}

/** Largest relative norm of the difference where kernels round activations to int8, in a model of few layers (measured: up to 9e-3 a layer). */
const integerTolerance = 0.1;

/**
 * The check of outputs whose products round activations to int8: floats by the norm of their difference, relative to what the source itself does at those settings
 * (`sourceRounding`, per output). Whole numbers are often the largest of several values that are close to one another, so they are not judged.
 */
export function checkRounded(
  name: string,
  planned: readonly OutputValues[],
  found: readonly OutputValues[],
  { sourceRounding, layers, note }: { readonly sourceRounding: readonly Difference[]; readonly layers: number; readonly note: string },
): VerificationCheck {
  if (found.length !== planned.length) return missingOutputs(name, planned.length, found.length);
  const judged = planned.flatMap((output, index): readonly Judged[] => {
    if (!isFloat(output)) return [];
    const difference = compare(output, found[index]);
    const own = sourceRounding[index] as Difference;
    if (!difference.sameLength) return own.sameLength ? [judge(output, difference)] : [];
    const nonFinite = Math.max(0.05, Math.min(mostPlaces, 2 * own.nonFinite));
    if (difference.nonFinite > nonFinite)
      return [
        {
          output,
          measured: difference.nonFinite,
          limit: nonFinite,
          unit: 'share of values',
          why: 'values that are finite on one side only',
        },
      ];
    // Errors of layers that are rounded independently add as squares.
    const limit = integerTolerance * Math.max(1, Math.sqrt(layers / 25)) + own.norm;
    return [{ output, measured: difference.norm, limit: Math.min(mostRelative, limit), unit: 'relative' }];
  });
  return checkOf(name, judged, note);
}

/** The check of a file that the runtime does not load or run. Rethrows what says nothing about the file: no memory, a cancelled job. */
export function doesNotRun(name: string, error: unknown): VerificationCheck {
  if (LoomweightError.is(error, 'insufficient-memory') || LoomweightError.is(error, 'cancelled')) throw error;
  return {
    name,
    passed: false,
    measured: 1,
    limit: 0,
    unit: 'failures',
    note: `The output does not run: ${error instanceof Error ? error.message : String(error)}`,
  };
}

function missingOutputs(name: string, expected: number, found: number): VerificationCheck {
  return { name, passed: false, measured: Math.abs(expected - found), limit: 0, unit: 'missing outputs' };
}

function exceeds({ measured, limit }: Judged): boolean {
  // Also where it is not a number.
  return !(measured <= limit);
}

function checkOf(name: string, judged: readonly Judged[], note: string | undefined): VerificationCheck {
  const share = ({ measured, limit }: Judged): number => (measured === 0 ? 0 : limit === 0 ? Infinity : measured / limit);
  const worst = judged.reduce<Judged | undefined>(
    (most, next) => (most === undefined || share(next) > share(most) ? next : most),
    undefined,
  );
  if (worst === undefined) {
    const text = `${note === undefined ? '' : `${note} `}No output is a floating-point number, so none was judged.`;
    return { name, passed: true, measured: 0, limit: integerTolerance, unit: 'relative', note: text };
  }
  const { measured, limit, unit, why, output } = worst;
  const where = judged.length > 1 && (why !== undefined || exceeds(worst)) ? ` (output '${output.name}')` : '';
  const reason = why === undefined && where === '' ? undefined : `${capital(why ?? 'largest share of its limit')}${where}.`;
  const text = [note, reason].filter(Boolean).join(' ');
  return { name, passed: !exceeds(worst), measured, limit, unit, ...(text === '' ? {} : { note: text }) };
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
