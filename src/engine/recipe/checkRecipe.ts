import { access, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { readText } from '../formats/files/readText';
import { suggestion } from '../../common/nearest';
import type { RecipeDiagnostic } from '../../protocol/engine';
import { LoomweightError } from '../../protocol/errors';
import type { RecipeSpec } from '../../protocol/jobs';
import type { StepKind } from '../jobs/stepKind';
import { analyzeRecipe } from './analyzeRecipe';
import type { PlannedStep, RecipeAnalysis } from './analyzeRecipe';

/** A recipe is a page of text. */
const longestFile = 1 << 20;

/** Everything wrong with a recipe, files that are not there included, in the order of the text. Nothing is written. */
export async function checkRecipe(
  request: { readonly file: string; readonly text: string },
  kinds: readonly StepKind[],
): Promise<readonly RecipeDiagnostic[]> {
  const analysis = analyzeRecipe(request.file, request.text, kinds);
  return withMissingFiles(analysis, namesOf(analysis));
}

/** A recipe that may run: sound, its files there, names resolved, options merged. */
export interface PlannedRecipe {
  readonly file: string;
  readonly title: string;
  readonly steps: readonly PlannedStep[];
}

/**
 * Reads a recipe file and plans it. Options of the specification (the caller's flags) win over the recipe's settings.
 * Errors: `not-found` without the file; `malformed-file` with the first finding in the message and all in the details.
 */
export async function planRecipe(spec: RecipeSpec, kinds: readonly StepKind[]): Promise<PlannedRecipe> {
  const { kind: _kind, recipe, resume: _resume, startOver: _startOver, ...flags } = spec;
  const info = await stat(recipe);
  if (!info.isFile())
    throw new LoomweightError('invalid-argument', `${recipe} is not a regular file. Name a recipe (*.loom.yaml).`, { recipe });
  if (info.size > longestFile)
    throw new LoomweightError('malformed-file', `${recipe} has ${info.size} bytes, too many for a recipe.`, { recipe });
  const text = await readText(recipe);
  const analysis = analyzeRecipe(recipe, text, kinds);
  const findings = await withMissingFiles(analysis, namesOf(analysis));
  const errors = findings.filter(({ severity }) => severity === 'error');
  const [first] = errors;
  if (first) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    throw new LoomweightError('malformed-file', `${recipe}:${place(first)}: ${first.message}${more}`, {
      recipe,
      findings: findings.map((finding) => ({ place: place(finding), severity: finding.severity, message: finding.message })),
    });
  }
  const steps = analysis.steps.map((step) => ({ ...step, spec: { ...analysis.settings, ...step.spec, ...flags } }));
  return { file: recipe, title: analysis.title ?? basename(recipe), steps };
}

function place({ start }: RecipeDiagnostic): string {
  return `${start.line + 1}:${start.character + 1}`;
}

function namesOf({ steps }: RecipeAnalysis): readonly string[] {
  return steps.filter(({ kind }) => kind.writesModel).map(({ name }) => name);
}

/** Every suggestion compares a word with the names of all steps: so many findings have one. */
const mostSuggestions = 100;

async function withMissingFiles(analysis: RecipeAnalysis, names: readonly string[]): Promise<readonly RecipeDiagnostic[]> {
  let missingFiles = 0;
  const missing = await Promise.all(
    analysis.needed.map(async ({ path, written, diagnosticFor }) => {
      const exists = await access(path).then(
        () => true,
        () => false,
      );
      if (exists) return undefined;
      missingFiles += 1;
      const hint = missingFiles > mostSuggestions ? '' : suggestion(written, names);
      return diagnosticFor(`'${written}' does not exist at ${path}.${hint}`);
    }),
  );
  const all = [...analysis.diagnostics, ...missing.filter((finding) => finding !== undefined)];
  return all.sort((a, b) => a.start.line - b.start.line || a.start.character - b.start.character);
}
