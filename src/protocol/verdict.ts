import type { OutputChange, Verdict, Verification } from './report';

/** The verdict of a verification, also of one from a report of an earlier version. */
export function verdictOf({ passed, verdict }: Pick<Verification, 'passed' | 'verdict'>): Verdict {
  return verdict ?? (passed ? 'passed' : 'failed');
}

/** The verdict of an output in several formats: that of the worst. */
export function worstVerdict(verifications: readonly Pick<Verification, 'passed' | 'verdict'>[]): Verdict {
  const verdicts = verifications.map(verdictOf);
  return (['failed', 'changed'] as const).find((verdict) => verdicts.includes(verdict)) ?? 'passed';
}

/** How far compression moved the model, and the limit, as a sentence. */
export function changeText({ of, measured, limit, unit }: OutputChange): string {
  const percent = (value: number): string => `${Number((100 * value).toPrecision(3))} %`;
  switch (of) {
    case 'outputs':
      if (unit === 'share of values')
        return `On random inputs ${percent(measured)} of the values in an output of whole numbers differ from those of the float model; more than ${percent(limit)} is a lot.`;
      return `On random inputs the outputs differ by ${percent(measured)} from those of the float model; more than ${percent(limit)} is a lot.`;
    case 'predictions':
      return `On random tokens the predictions diverge by ${Number(measured.toPrecision(3))} nats per token from those of the float model; more than ${limit} is a lot.`;
    case 'weights':
      return `The weights of a layer differ by ${percent(measured)} from the original; more than ${percent(limit)} is a lot.`;
  }
}

/** What to tell the user where the output is sound but changed a lot; undefined otherwise. */
export function changeWarning(verification: Verification): string | undefined {
  if (verdictOf(verification) !== 'changed' || verification.change === undefined) return undefined;
  return `The output is sound, but compression changed the model a lot. ${changeText(verification.change)} Choose more bits, smaller groups or fewer tensors, and evaluate the result before using it.`;
}
