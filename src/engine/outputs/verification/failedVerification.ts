import { formatNumber } from '../../../common/units';
import { LoomweightError } from '../../../protocol/errors';
import type { Verification } from '../../../protocol/report';

/** The error of an output that does not agree with what was planned: every failed check with its limit, and where the output was kept, if it was. */
export function failedVerification(report: { readonly verification: Verification }, kept?: string): LoomweightError {
  const failed = report.verification.checks.filter(({ passed }) => !passed);
  const text = failed.map(
    ({ name, measured, limit, unit, note }) =>
      `${name}: ${formatNumber(measured, 3)} ${unit}, at most ${limit} allowed${note ? ` (${note.replace(/\.$/, '')})` : ''}`,
  );
  return new LoomweightError(
    'verification-failed',
    `The output differs from what was planned. ${text.join('; ')}. ${kept === undefined ? 'No output was written; use --keep-failed to keep such an output.' : `It was kept in ${kept}.`}`,
    { checks: failed, ...(kept === undefined ? {} : { kept }) },
  );
}
