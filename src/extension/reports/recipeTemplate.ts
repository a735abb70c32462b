import { join } from 'node:path';
import { jsonText } from '../../common/shown';
import type { OutputFormat } from '../../protocol/jobs';
import { pathInRecipe } from './pathInRecipe';

/** What the first step of a new recipe does. */
export const firstStep = { method: 'rtn', parameters: { bits: 4, groupSize: 32 } } as const;

/** A recipe to begin with: makes a model smaller and compares the result. Paths are relative to its file. */
export function recipeTemplate(given: {
  readonly model: string;
  readonly name: string;
  readonly format: OutputFormat;
  readonly file: string;
}): string {
  const { model, name, format, file } = given;
  return `# Steps run in order; a step may name an earlier one as its model. Completion (Ctrl+Space) lists what each place allows.
name: ${jsonText(`Smaller ${name}`)}

inputs:
  base: ${jsonText(pathInRecipe(file, model))}

settings:
  seed: 0

steps:
  - kind: compress
    name: small
    model: base
    method: ${firstStep.method}
    parameters:
      bits: ${firstStep.parameters.bits}
      groupSize: ${firstStep.parameters.groupSize}
    format: ${format}
    out: ${jsonText(`out/${name}-small`)}

  - kind: compare
    first: base
    second: small
`;
}

/** The bundled recipe for another folder: its inputs stay in the folder of the samples. */
export function sampleRecipe(text: string, samples: string): string {
  return text.replace(
    /^( {2}(?:base|books): )(.*)$/gm,
    (_line, key: string, path: string) => `${key}${jsonText(join(samples, path.trim()))}`,
  );
}
