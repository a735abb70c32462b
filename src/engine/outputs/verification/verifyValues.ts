import { throwIfCancelled } from '../../../protocol/errors';
import type { DType } from '../../../protocol/dtypes';
import type { VerificationCheck } from '../../../protocol/report';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import { transposeInto } from '../../kernels/host/transpose';
import { containerWeights } from '../../models/decoderWeights';
import type { PlannedEntry } from '../planned/plannedStore';
import type { VerificationRequest } from './verificationRequest';

/** Largest relative error of rounding a number to a type, and the largest absolute one where its exponents end. */
export const roundingOf: Partial<Record<DType, readonly [relative: number, absolute: number]>> = {
  float16: [2 ** -11, 2 ** -25],
  bfloat16: [2 ** -9, 2 ** -134],
};
const float32Rounding = [2 ** -24, 2 ** -150] as const;
/** Sums of the same terms in another order, and the digits that a report keeps. */
const sumError = 1e-5;

const floats = () => new ReusedBuffer((length) => new Float32Array(length));

/**
 * Compares every compressed tensor of the finished output with the weights that it was made from: its values must be finite, and its relative error the one that was measured
 * while planning. This needs nothing of the plan but the errors, so it finds what `verifyBytes` cannot: a plan that was damaged before it was written.
 */
export async function verifyValues(request: VerificationRequest): Promise<VerificationCheck> {
  const { source, planned, written, context, trained } = request;
  const base = trained ?? containerWeights(source.container);
  const buffers = { base: floats(), turned: floats() };
  const mismatches: string[] = [];
  let compared = 0;
  const reader = await written.open();
  try {
    for (const name of written.layouts.keys()) {
      throwIfCancelled(context.signal);
      const { relativeError, layout, transposed, transformed } = planned.entry(name) as PlannedEntry;
      const found = await reader.weights(name);
      const unusable = found.find((value) => !Number.isFinite(value));
      if (unusable !== undefined) mismatches.push(`${name} contains ${unusable}`);
      // What a transform made of the weights before they were planned is no longer known.
      if (unusable !== undefined || transformed || layout.kind === 'plain') continue;
      compared += 1;
      const stored = await base.read(name, buffers.base.take(found.length));
      const expected = transposed ? transposeInto(stored, layout.rows, 0, layout.columns, buffers.turned.take(found.length)) : stored;
      const type = written.roundedToSource ? source.container.tensors.get(name)?.dtype : undefined;
      const { error, allowance } = distance(found, expected, (type && roundingOf[type]) ?? float32Rounding);
      // Also true where one of them is not a number.
      if (!(Math.abs(error - relativeError) <= allowance + sumError * relativeError))
        mismatches.push(`${name} has the relative error ${error.toPrecision(3)}, planned ${relativeError.toPrecision(3)}`);
    }
  } finally {
    await reader.close();
  }
  return {
    name: 'values',
    passed: mismatches.length === 0,
    measured: mismatches.length,
    limit: 0,
    unit: 'mismatches',
    note: noteOf(mismatches, written.layouts.size, compared),
  };
}

/** Norm of the difference divided by the norm of the weights, as `relativeErrorOf`, and how far rounding each value to a type can move it. Sums in float64. */
function distance(
  found: Float32Array,
  weights: Float32Array,
  [relative, absolute]: readonly [relative: number, absolute: number],
): { readonly error: number; readonly allowance: number } {
  let [error, slack, total] = [0, 0, 0];
  for (let index = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    const value = found[index] as number;
    const rounding = Math.abs(value) * relative + absolute;
    error += (value - weight) ** 2;
    slack += rounding * rounding;
    total += weight * weight;
  }
  return total === 0 ? { error: 0, allowance: 0 } : { error: Math.sqrt(error / total), allowance: Math.sqrt(slack / total) };
}

function noteOf(mismatches: readonly string[], count: number, compared: number): string {
  if (mismatches.length > 0) return `Of ${count} tensors: ${mismatches.slice(0, 3).join('; ')}${mismatches.length > 3 ? '; ...' : ''}.`;
  return compared === count
    ? `${count} tensors are finite and as close to the original as planned.`
    : `${count} tensors are finite; the ${compared} that no transform changed are as close to the original as planned.`;
}
