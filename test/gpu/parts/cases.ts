import type { CaseResult, PartName, PartRequest, PartEnd } from '../document';
import { gradientCount, gradientName, runGradient } from '../cases/gradients';
import { operatorChecks } from '../cases/operators';
import { runCase, type Case } from '../placedRun';

/** Every operator, and graphs with bodies. */
export async function runOperators({ provider, from, stride, tell }: PartRequest): Promise<PartEnd> {
  const cases = operatorChecks();
  for (let index = from; index < cases.length; index += stride) {
    const given = cases[index] as Case;
    tell({ kind: 'begin', index, name: given.name });
    tell({ kind: 'case', index, result: await runCase(given, provider) });
  }
  return { status: 'agrees', expected: cases.length };
}

/** Every row of the gradients' tests. */
export async function runGradients({ provider, from, stride, tell }: PartRequest): Promise<PartEnd> {
  for (let index = from; index < gradientCount; index += stride) {
    tell({ kind: 'begin', index, name: gradientName(index) });
    tell({ kind: 'case', index, result: await runGradient(index, provider) });
  }
  return { status: 'agrees', expected: gradientCount };
}

/** What all cases together say; `expected` is how many there are, or undefined if the part did not come to its end. */
export function summarizeCases(part: PartName, cases: readonly CaseResult[], ended: PartEnd): PartEnd {
  const wrong = cases.filter(({ agrees }) => !agrees);
  const worst = cases.reduce<CaseResult | undefined>(
    (most, each) => (each.agrees && (each.error ?? -1) > (most?.error ?? -1) ? each : most),
    undefined,
  );
  const placed = (where: CaseResult['placed']) => cases.filter((each) => each.placed === where).length;
  const fellBack = new Map<string, number>();
  for (const operator of cases.flatMap((each) => each.fellBack ?? [])) fellBack.set(operator, (fellBack.get(operator) ?? 0) + 1);
  const status = wrong.length > 0 ? 'disagrees' : ended.status;
  const note = [
    ...(wrong.length > 0 ? [`${wrong.length} of ${cases.length} ${part} disagree, first: ${wrong[0]?.name}: ${wrong[0]?.problem}`] : []),
    ...(ended.note === undefined ? [] : [ended.note]),
  ].join(' ');
  return {
    ...ended,
    status,
    ...(note === '' ? {} : { note }),
    ran: cases.length,
    agreeing: cases.length - wrong.length,
    onProvider: placed('provider'),
    mixed: placed('mixed'),
    onCpu: placed('cpu'),
    worst: worst === undefined ? undefined : { name: worst.name, error: worst.error },
    fellBack: Object.fromEntries([...fellBack].sort(([, a], [, b]) => b - a)),
    disagreements: wrong,
    cases,
  };
}
