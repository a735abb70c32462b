import { LoomweightError } from '../../protocol/errors';
import type { CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';

/**
 * Widths in bits from unbounded logits, as in DiffQ, with s = sigmoid(logit):
 *
 *   bits:   b = s max + (1 - s) min
 *   noise:  n = exp(s ln n_min + (1 - s) ln n_max),   b = log2(1 + 1 / n),   n_min = 1 / (2^max - 1),   n_max = 1 / (2^min - 1)
 */
export interface BitRange {
  readonly parametrisation: 'bits' | 'noise';
  readonly minimum: number;
  readonly maximum: number;
}

const logarithmOfNoise = (bits: number): number => -Math.log(2 ** bits - 1);

/** The logit whose width is `bits`. Errors: `invalid-argument` unless minimum < bits < maximum. */
export function logitOf(bits: number, { parametrisation, minimum, maximum }: BitRange): number {
  if (!(minimum < bits && bits < maximum))
    throw new LoomweightError(
      'invalid-argument',
      `The initial width must be between the smallest and the largest, got ${bits} for ${minimum} to ${maximum}. Change initBits, minBits or maxBits.`,
      { bits, minimum, maximum },
    );
  const [low, high, at] =
    parametrisation === 'bits' ? [minimum, maximum, bits] : [logarithmOfNoise(minimum), logarithmOfNoise(maximum), logarithmOfNoise(bits)];
  const share = (at - low) / (high - low);
  return Math.log(share / (1 - share));
}

/** Widths of logits on the host, in float64. */
export function bitsOfLogits(logits: Float32Array, { parametrisation, minimum, maximum }: BitRange): Float64Array {
  const low = logarithmOfNoise(maximum);
  const high = logarithmOfNoise(minimum);
  return Float64Array.from(logits, (logit) => {
    const share = 1 / (1 + Math.exp(-logit));
    if (parametrisation === 'bits') return share * maximum + (1 - share) * minimum;
    return Math.log2(1 + Math.exp(-(share * low + (1 - share) * high)));
  });
}

/** Adds the widths to a graph. The region has a closed-form gradient. */
export function bitWidths(
  build: GraphBuilder,
  logits: Value,
  { parametrisation, minimum, maximum }: BitRange,
): { readonly bits: Value; readonly region: CustomGradient } {
  const { add, mul, div, op } = formula(build, 'float32');
  const share = op('Sigmoid', logits);
  const low = logarithmOfNoise(maximum);
  const high = logarithmOfNoise(minimum);
  if (parametrisation === 'bits') {
    const bits = add(mul(share, maximum - minimum), minimum);
    return { bits, region: region(bits, (backward, given) => slope(backward, given, maximum - minimum)) };
  }
  const noise = op('Exp', add(mul(share, low - high), high));
  const bits = div(op('Log', add(op('Reciprocal', noise), 1)), Math.LN2);
  // db/ds = (high - low) / (ln 2 (1 + n))
  return {
    bits,
    region: region(bits, (backward, given) => {
      const arithmetic = formula(backward, 'float32');
      return slope(backward, arithmetic.div(given, arithmetic.add(noise, 1)), (high - low) / Math.LN2);
    }),
  };

  function region(output: Value, gradient: (backward: GraphBuilder, given: Value) => Value): CustomGradient {
    return { output, inputs: [logits], gradient: (backward, given) => [gradient(backward, given)] };
  }
  /** given * factor * s (1 - s) */
  function slope(backward: GraphBuilder, given: Value, factor: number): Value {
    const arithmetic = formula(backward, 'float32');
    return arithmetic.mul(given, arithmetic.mul(arithmetic.mul(share, arithmetic.sub(1, share)), factor));
  }
}
