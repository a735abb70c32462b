import type { OutputChange, Verdict, VerificationCheck } from '../../../protocol/report';
import type { PlannedStore } from '../planned/plannedStore';

/**
 * Beyond these a result is reported as changed a lot. Measured with round to nearest and groups of 32 (decision 0022): 4 bits stay below a quarter of them, 3 bits near or below the half,
 * 1 bit exceeds them, and so does every model whose outputs no longer depend on its inputs.
 */
const limits = { outputs: 0.5, predictions: 0.5, weights: 0.35 } as const;

/** How far compression moved the outputs or weights (norm of the difference divided by the norm) or the predictions (nats per token), with its limit. */
export function outputChange(of: 'outputs' | 'predictions' | 'weights', measured: number): OutputChange {
  return { of, measured, limit: limits[of], unit: of === 'predictions' ? 'nats' : 'relative' };
}

/** The change of the layer whose weights changed most, where nothing can be run. Undefined if none was compressed. */
export function weightChange(planned: PlannedStore): OutputChange | undefined {
  const errors = planned.entries().flatMap(({ layout, relativeError }) => (layout.kind === 'plain' ? [] : [relativeError]));
  return errors.length === 0 ? undefined : outputChange('weights', Math.max(...errors));
}

/** What the checks and the change come to. */
export function verdictFor(checks: readonly VerificationCheck[], change: OutputChange | undefined): Verdict {
  if (!checks.every(({ passed }) => passed)) return 'failed';
  // Also where the change is not a number.
  return change === undefined || change.measured <= change.limit ? 'passed' : 'changed';
}
