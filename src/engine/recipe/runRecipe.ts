import { throwIfCancelled } from '../../protocol/errors';
import type { RecipeSpec } from '../../protocol/jobs';
import type { MethodDescription } from '../../protocol/methods';
import type { RecipeReport, StepReport } from '../../protocol/report';
import type { PlannedStep, StepSpec } from './analyzeRecipe';
import { planRecipe } from './checkRecipe';
import { RecipeJournal } from './recipeJournal';

/** What running a recipe needs from its owner. */
export interface RecipeRunner {
  readonly methods: readonly MethodDescription[];
  /** Runs one step to its end. */
  readonly runStep: (
    spec: StepSpec,
    step: { readonly name: string; readonly index: number; readonly count: number },
  ) => Promise<StepReport>;
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
  const recipe = await planRecipe(spec, runner.methods);
  const journal = await RecipeJournal.open(spec.recipe, runner.stateFolder);
  const steps: { name: string; report: StepReport; skipped?: boolean }[] = [];
  for (const [index, step] of recipe.steps.entries()) {
    throwIfCancelled(runner.signal);
    const finished = spec.resume ? await journal.find(step) : undefined;
    if (finished) {
      runner.log(`Step ${index + 1} of ${recipe.steps.length} (${step.name}): done before and unchanged, skipped.`);
      steps.push({ name: step.name, report: finished, skipped: true });
      continue;
    }
    runner.log(`Step ${index + 1} of ${recipe.steps.length} (${step.name}): ${describeStep(step)}.`);
    // Inputs are noted before the step runs: a change during the run must not go unseen.
    const key = await journal.keyOf(step);
    const report = await runner.runStep(step.spec, { name: step.name, index, count: recipe.steps.length });
    await journal.note(step, key, report);
    steps.push({ name: step.name, report });
  }
  return { kind: 'recipe', recipe: spec.recipe, steps, seconds: (performance.now() - started) / 1000 };
}

function describeStep({ spec }: PlannedStep): string {
  switch (spec.kind) {
    case 'compress':
      return `compress with ${spec.method} to ${spec.format}`;
    case 'learn':
      return `learn bits with ${spec.method}`;
    case 'compare':
      return `compare ${spec.first} with ${spec.second}`;
    default:
      return `${spec.kind} ${spec.model}`;
  }
}
