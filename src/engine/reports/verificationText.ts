import { formatNumber } from '../../common/units';
import type { Verification, VerificationCheck } from '../../protocol/report';

const scopes = { whole: 'whole model', blocks: 'blocks only', bytes: 'bytes only' } as const;

/** Passed or failed, then each check with its limit. */
export function verificationText(verification: Verification): readonly string[] {
  const head = `${verification.passed ? 'passed' : 'FAILED'} (${scopes[verification.scope]})`;
  return [head, ...verification.checks.map(checkText)];
}

function checkText({ name, passed, measured, limit, unit, note }: VerificationCheck): string {
  return `${passed ? 'ok    ' : 'FAILED'} ${name}: ${formatNumber(measured, 3)} (limit ${formatNumber(limit, 3)} ${unit})${note === undefined ? '' : `, ${note}`}`;
}
