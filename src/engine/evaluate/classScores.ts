import { LoomweightError } from '../../protocol/errors';
import type { OutputReading } from '../../protocol/jobs';
import type { FinalActivation } from '../graph/passes/finalActivation';

/** How a final activation is named in notes and reports. */
export const activationNames: Readonly<Record<FinalActivation['kind'], string>> = {
  softmax: 'a softmax',
  'log-softmax': 'a log-softmax',
  sigmoid: 'a sigmoid',
};

/** The reading that was chosen. */
export interface ClassScores {
  /** How the output was read, as a report states it. */
  readonly description: string;
  /** Logits of values [rows, classes]: the values themselves, or what gives these probabilities. Errors: `invalid-argument` for what is no probability. */
  logits(values: Float32Array, classes: number): Float32Array;
}

/** Farthest that the sum of a row of probabilities may be from 1: float16 outputs over thousands of classes. */
const sumTolerance = 0.01;
/** Probabilities of 0 and 1 have no logit; they are read as the float32 numbers nearest to them that have one. */
const smallest = 2 ** -149;
const smallestRest = 2 ** -25;

/**
 * Chooses how an output [rows, classes] is read. `auto` takes a softmax or sigmoid that the graph shows as probabilities, and so an output whose rows are
 * not negative and sum to 1; everything else (a log-softmax too) is logits. Several sigmoids in a row are read as the logits before them.
 */
export function classScores(
  asked: OutputReading,
  activation: FinalActivation['kind'] | undefined,
  output: string,
  values: Float32Array,
  classes: number,
): ClassScores {
  const asLogits = (why: string): ClassScores => ({ description: `output '${output}' ${why}`, logits: (batch) => batch });
  if (asked === 'logits') return asLogits('used as logits, as asked');
  const distributions = classes > 1 && areDistributions(values, classes);
  const probabilities = asked === 'probabilities' || activation === 'sigmoid' || distributions;
  if (!probabilities) return asLogits(activation === 'log-softmax' ? 'is a log-softmax, used as logits' : 'used as logits');
  const from = distributions ? (p: number) => Math.log(Math.max(p, smallest)) : logitOf;
  const why =
    activation === 'sigmoid' || (activation === 'softmax' && distributions)
      ? `is ${activationNames[activation]}`
      : distributions
        ? 'has rows that sum to 1'
        : 'asked for as probabilities';
  return {
    description: `output '${output}' ${why}: ${!distributions && classes > 1 ? 'the logits of its sigmoids are compared' : 'used as probabilities'}`,
    logits: (batch) =>
      batch.map((value) => {
        if (value >= 0 && value <= 1) return from(value);
        if (Number.isNaN(value)) return value;
        throw new LoomweightError(
          'invalid-argument',
          `Output '${output}' is read as probabilities, but contains ${value}. Choose logits (--outputs logits).`,
          { output, value },
        );
      }),
  };
}

function logitOf(probability: number): number {
  return Math.log(Math.max(probability, smallest)) - Math.log(Math.max(1 - probability, smallestRest));
}

/** True if every row of values [rows, classes] holds numbers of at least 0 that sum to 1, to within `tolerance`. */
export function areDistributions(values: ArrayLike<number>, classes: number, tolerance = sumTolerance): boolean {
  for (let row = 0; row < values.length; row += classes) {
    let sum = 0;
    for (let index = row; index < row + classes; index += 1) {
      if (!((values[index] as number) >= 0)) return false;
      sum += values[index] as number;
    }
    if (Math.abs(sum - 1) > tolerance) return false;
  }
  return values.length > 0;
}
