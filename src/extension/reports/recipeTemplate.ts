import { dirname, join, relative, sep } from 'node:path';
import { jsonText } from '../../common/shown';
import type { OutputFormat } from '../../protocol/jobs';

/** A recipe to begin with: makes a model smaller and compares the result. Paths are relative to its file. */
export function recipeTemplate(given: {
  readonly model: string;
  readonly name: string;
  readonly format: OutputFormat;
  readonly file: string;
}): string {
  const { model, name, format, file } = given;
  const near = relative(dirname(file), model).split(sep).join('/');
  return `# Steps run in order; a step may name an earlier one as its model. Completion (Ctrl+Space) lists what each place allows.
name: ${jsonText(`Smaller ${name}`)}

inputs:
  base: ${jsonText(near === '' ? '.' : near)}

settings:
  seed: 0

steps:
  - kind: compress
    name: small
    model: base
    method: rtn
    parameters:
      bits: 4
      groupSize: 32
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
