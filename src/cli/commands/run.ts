import { resolve } from 'node:path';
import { formatSeconds } from '../../common/units';
import { describeAllMethods } from '../../engine/services/allMethods';
import { planRecipe } from '../../engine/recipe/checkRecipe';
import type { RecipeSpec } from '../../protocol/jobs';
import type { RecipeReport, StepReport } from '../../protocol/report';
import { defineCommand } from '../command';
import { runJob } from '../runJob';
import { compareText } from './compare';
import { compressText } from './compress';
import { learnText } from './learnBits';
import { evaluateText } from './evaluate';
import { inspectText } from './inspect';

/** `loomweight run RECIPE.loom.yaml`. */
export const run = defineCommand<RecipeReport>({
  name: 'run',
  summary: 'Run a recipe: steps of inspect, compress, learn, evaluate and compare in one file.',
  details: [
    'A recipe is checked whole before its first step starts. Paths in it are relative to the file. Later steps may name the output of earlier ones. ' +
      'Flags given here win over the settings in the file.',
  ],
  positionals: [{ name: 'RECIPE', doc: 'A file such as first.loom.yaml.' }],
  options: [
    {
      name: 'resume',
      kind: 'switch',
      doc: 'Skip the steps that an earlier run finished, where neither their inputs nor their outputs have changed since; says which.',
    },
  ],
  examples: ['loomweight run first.loom.yaml', 'loomweight run first.loom.yaml --resume --json'],
  run: async ({ arguments: given, terminal }) => {
    const spec: RecipeSpec = {
      kind: 'recipe',
      recipe: resolve(terminal.folder, given.positional(0)),
      resume: given.isOn('resume'),
      ...given.shared,
    };
    // Planned here once more than in the job: faults in the file are said at once, and its memory limit binds the whole process.
    const plan = await planRecipe(spec, describeAllMethods());
    const limits = plan.steps.flatMap((step) => (step.spec.maxMemory === undefined ? [] : [step.spec.maxMemory]));
    return runJob(spec, terminal, limits.length > 0 ? { maxMemory: Math.max(...limits) } : {});
  },
  text: (report, { terminal }) =>
    report.steps
      .map(({ name, report: step, skipped }, index) => {
        const title = `${index + 1}. ${name}${skipped ? ' (done before, skipped)' : ''}`;
        return `${title}\n${'-'.repeat(title.length)}\n${stepText(step, terminal.verbose)}\n`;
      })
      .join('') + `${report.steps.length} steps, ${formatSeconds(report.seconds)}\n`,
});

function stepText(report: StepReport, verbose: boolean): string {
  switch (report.kind) {
    case 'inspect':
      return inspectText(report.summary, { verbose });
    case 'compress':
      return compressText(report, verbose);
    case 'learn':
      return learnText(report, verbose);
    case 'evaluate':
      return evaluateText(report);
    case 'compare':
      return compareText(report, verbose);
  }
}
