import { throwIfCancelled } from '../../protocol/errors';
import type { RecipeSpec } from '../../protocol/jobs';
import type { JobReport, RecipeReport } from '../../protocol/report';
import type { StepKind } from '../jobs/stepKind';
import type { PlannedStep } from './analyzeRecipe';
import { planRecipe } from './checkRecipe';
import { continueStep } from './continueStep';
import { RecipeJournal } from './recipeJournal';

/** What running a recipe needs from its owner. */
export interface RecipeRunner {
  readonly kinds: readonly StepKind[];
  /** Runs one step to its end. */
  readonly runStep: (step: PlannedStep, place: { readonly index: number; readonly count: number }) => Promise<JobReport>;
  readonly log: (message: string) => void;
  /** Folder for what --resume needs to know. */
  readonly stateFolder: string;
  readonly signal?: AbortSignal;
}

/**
 * Runs a recipe step by step; the first error ends it. With `resume` a step is skipped where an earlier run of this recipe
 * finished it with the same specification, its inputs have not changed since and what it wrote is still there as it was.
 */
export async function runRecipe(spec: RecipeSpec, runner: RecipeRunner): Promise<RecipeReport> {
  const started = performance.now();
  const recipe = await planRecipe(spec, runner.kinds);
  const journal = await RecipeJournal.open(spec.recipe, runner.stateFolder);
  const steps: { name: string; report: JobReport; skipped?: boolean }[] = [];
  for (const [index, step] of recipe.steps.entries()) {
    throwIfCancelled(runner.signal);
    const finished = spec.resume ? await journal.find(step) : undefined;
    if (finished) {
      runner.log(`Step ${index + 1} of ${recipe.steps.length} (${step.name}): already done and unchanged, skipped.`);
      steps.push({ name: step.name, report: finished, skipped: true });
      continue;
    }
    runner.log(`Step ${index + 1} of ${recipe.steps.length} (${step.name}): ${describeStep(step)}.`);
    // Inputs are noted before the step runs: a change during the run must not go unseen.
    const key = await journal.keyOf(step);
    const report = await runner.runStep({ ...step, spec: continueStep(step, spec) }, { index, count: recipe.steps.length });
    await journal.note(step, key, report);
    steps.push({ name: step.name, report });
  }
  return { kind: 'recipe', recipe: spec.recipe, steps, seconds: (performance.now() - started) / 1000 };
}

/** `Compress loom-base (rtn, onnx-fast)`. */
function describeStep({ kind, spec }: PlannedStep): string {
  const { title, subtitle } = kind.describe(spec);
  return subtitle === '' ? title : `${title} (${subtitle})`;
}
