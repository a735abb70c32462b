import { formatNumber } from '../../common/units';
import { changeText, verdictOf } from '../../protocol/verdict';
import type { Verification, VerificationCheck } from '../../protocol/report';

const verdicts = { passed: 'passed', changed: 'SOUND, BUT CHANGED A LOT', failed: 'FAILED' } as const;
const scopes = { whole: 'whole model', blocks: 'blocks only', bytes: 'bytes only' } as const;

/** The verdict, how far the model changed, then each check with its limit. */
export function verificationText(verification: Verification): readonly string[] {
  const head = `${verdicts[verdictOf(verification)]} (${scopes[verification.scope]})`;
  const { change } = verification;
  return [head, ...(change && verdictOf(verification) === 'changed' ? [changeText(change)] : []), ...verification.checks.map(checkText)];
}

function checkText({ name, passed, measured, limit, unit, note }: VerificationCheck): string {
  return `${passed ? 'ok    ' : 'FAILED'} ${name}: ${formatNumber(measured, 3)} (limit ${formatNumber(limit, 3)} ${unit})${note === undefined ? '' : `, ${note}`}`;
}
