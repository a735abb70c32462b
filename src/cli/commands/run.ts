import { resolve } from 'node:path';
import { wordList } from '../../common/wordList';
import type { StepKind } from '../../engine/jobs/stepKind';
import { planRecipe } from '../../engine/recipe/checkRecipe';
import { recipeText } from '../../engine/recipe/recipeReport';
import type { RecipeSpec } from '../../protocol/jobs';
import type { RecipeReport } from '../../protocol/report';
import { defineCommand } from '../command';
import type { Command } from '../command';

/** `loomweight run RECIPE.loom.yaml`. */
export function runCommand(kinds: readonly StepKind[]): Command {
  return defineCommand<RecipeReport>({
    name: 'run',
    summary: `Run a recipe: a file with steps of kind ${wordList(kinds.map(({ id }) => id))}.`,
    details: [
      'The whole recipe is checked before its first step starts. Paths in it are relative to the file. Later steps can use the output of earlier ones. ' +
        'Flags override the settings in the file.',
    ],
    positionals: [{ name: 'RECIPE', doc: 'A file such as first.loom.yaml.' }],
    options: [
      {
        name: 'resume',
        kind: 'switch',
        doc:
          'Skip steps that an earlier run finished and whose inputs and outputs have not changed since; skipped steps are reported. ' +
          'An interrupted training continues from its checkpoint.',
      },
      {
        name: 'start-over',
        kind: 'switch',
        doc: 'Delete the checkpoint of an interrupted training and train from the beginning.',
      },
    ],
    examples: ['loomweight run first.loom.yaml', 'loomweight run first.loom.yaml --resume --json'],
    run: async ({ arguments: given, terminal, runJob }) => {
      const spec: RecipeSpec = {
        kind: 'recipe',
        recipe: resolve(terminal.folder, given.positional(0)),
        resume: given.isOn('resume'),
        ...(given.isOn('start-over') ? { startOver: true } : {}),
        ...given.shared,
      };
      // Planned here in addition to the job: faults in the file are reported at once, and its memory limit binds the whole process.
      const plan = await planRecipe(spec, kinds);
      const limits = plan.steps.flatMap((step) => (step.spec.maxMemory === undefined ? [] : [step.spec.maxMemory]));
      // The runner of recipes answers every recipe with its report.
      return (await runJob(spec, terminal, limits.length > 0 ? { maxMemory: Math.max(...limits) } : {})) as RecipeReport;
    },
    text: (report, { terminal }) => recipeText(report, kinds, terminal.verbose),
  });
}
