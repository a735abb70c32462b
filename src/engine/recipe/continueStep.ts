import { existsSync } from 'node:fs';
import type { JobSpec, RecipeSpec } from '../../protocol/jobs';
import type { PlannedStep } from './analyzeRecipe';

/** What to do about a checkpoint that an interrupted run of a step left: as the recipe is run. Without either the step refuses to overwrite it. */
export function continueStep({ kind, spec }: Pick<PlannedStep, 'kind' | 'spec'>, { resume, startOver }: RecipeSpec): JobSpec {
  const { checkpoint } = kind.describe(spec);
  if (checkpoint === undefined || !existsSync(checkpoint) || !(resume || startOver)) return spec;
  return { ...spec, ...(resume ? { resume } : { startOver }) } as JobSpec;
}
