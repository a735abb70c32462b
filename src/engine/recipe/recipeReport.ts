import { printable } from '../../common/shown';
import { modelName } from '../../common/modelName';
import { formatSeconds } from '../../common/units';
import type { RecipeSpec } from '../../protocol/jobs';
import type { JobDescription, ReportView } from '../../protocol/kinds';
import type { RecipeReport } from '../../protocol/report';
import { findKind } from '../jobs/stepKind';
import type { StepKind } from '../jobs/stepKind';

/** What a run of a recipe is called. */
export function describeRecipe({ recipe }: RecipeSpec): JobDescription {
  return { title: `Run ${recipe.split(/[\\/]/).at(-1) ?? recipe}`, subtitle: recipe, opens: 'report' };
}

/** A recipe's run for a terminal: every step's report under its name. */
export function recipeText(report: RecipeReport, kinds: readonly StepKind[], verbose: boolean): string {
  const steps = report.steps.map(({ name, report: step, skipped }, index) => {
    const title = `${index + 1}. ${printable(name)}${skipped ? ' (already done, skipped)' : ''}`;
    return `${title}\n${'-'.repeat(title.length)}\n${findKind(kinds, step.kind).text(step, { verbose })}\n`;
  });
  return `${steps.join('')}${report.steps.length} steps, ${formatSeconds(report.seconds)}\n`;
}

/** A recipe's run in a few words and as a document: the figures of every step. */
export function recipeView(report: RecipeReport, kinds: readonly StepKind[]): ReportView {
  const duration = formatSeconds(report.seconds);
  return {
    outcome: `${report.steps.length} steps · ${duration}`,
    page: {
      title: modelName(report.recipe),
      subtitle: `${report.steps.length} steps in ${duration}`,
      verdict: { state: 'passed', text: 'Done' },
      figures: [],
      sections: report.steps.map(({ name, report: step }) => {
        const document = findKind(kinds, step.kind).page(step, undefined);
        return {
          kind: 'facts',
          heading: name,
          rows: [
            { label: 'Step', value: `${step.kind}: ${document.title}` },
            ...document.figures.map(({ label, value, note }) => ({ label, value: note === undefined ? value : `${value} (${note})` })),
            ...(document.verdict ? [{ label: 'Result', value: document.verdict.text }] : []),
          ],
        };
      }),
      actions: [{ id: 'openFile', label: 'Open Recipe' }],
    },
  };
}
