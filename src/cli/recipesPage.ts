import { describeAllowed } from '../common/params';
import type { StepKind } from '../engine/jobs/stepKind';
import { fieldsOf, settingFields, sharedFields, topLevelKeys } from '../engine/recipe/fields';
import type { Field } from '../protocol/fields';
import { markdownTable } from './markdownTable';

const examples = `Compress a model and measure what that costs:

\`\`\`yaml
name: Four bits
inputs:
  base: loom-base
  text: text/books.txt
steps:
  - kind: compress
    name: small
    model: base
    method: rtn
    parameters: { bits: 4, groupSize: 32 }
    overrides:
      - glob: '*.down_proj.weight'
        parameters: { bits: 8 }
    out: out/small
  - kind: evaluate
    name: before
    model: base
    text: text
    window: 256
  - kind: evaluate
    name: after
    model: small
    text: text
    window: 256
\`\`\`

Learn the width of every group of weights, and compare the result with the original:

\`\`\`yaml
steps:
  - kind: learn
    name: learned
    model: digits/digits-mlp.onnx
    data: digits/data
    method: diffq
    targetBits: 3
    parameters: { groupSize: 8, settle: 0.3 }
    formats: [archive, onnx-packed]
    out: out/learned
  - kind: evaluate
    model: learned
    data: digits/data
  - kind: compare
    first: digits/digits-mlp.onnx
    second: learned
\`\`\`
`;

/** docs/recipes.md without its mark: the contents of a recipe, generated from the step kinds. */
export function recipesPage(kinds: readonly StepKind[]): string {
  const steps = kinds.map((kind) => `\n### ${kind.id}\n\n${kind.summary}\n\n${fieldTable(fieldsOf(kind))}`);
  return (
    `\n# Recipes\n\nA recipe is a YAML file whose name ends in \`.loom.yaml\`. It lists steps, which run in order; paths are relative to the file. ` +
    `Run it with \`loomweight run\` or in the editor.\n\n${examples}\n## Keys of the file\n\n` +
    markdownTable(
      ['Key', 'Meaning'],
      topLevelKeys.map(({ key, doc, required }) => [`\`${key}\``, required ? `${doc} Required.` : doc]),
    ) +
    `\n## settings\n\n${fieldTable(settingFields)}\n## steps\n\nEvery step has these keys:\n\n${fieldTable(sharedFields(kinds))}` +
    `\nThe others depend on its kind.\n${steps.join('')}`
  );
}

function fieldTable(fields: readonly Field[]): string {
  return markdownTable(
    ['Key', 'Meaning', 'Value'],
    fields.map((field) => [`\`${field.key}\``, field.required ? `${field.doc} Required.` : field.doc, valueText(field)]),
  );
}

function valueText({ type }: Field): string {
  switch (type.kind) {
    case 'value':
      return describeAllowed(type.spec);
    case 'model':
      return 'a path or a name';
    case 'file':
      return ['a path, or the name of an input or of a step that writes a file', ...(type.words ?? [])].join(', or ');
    case 'output':
      return 'a path';
    case 'text':
      return 'text';
    case 'size':
      return 'a size';
    case 'method':
      return 'a method from [methods.md](methods.md)';
    case 'parameters':
      return 'a mapping';
    case 'overrides':
      return 'a list of `{ glob, parameters }`';
    case 'columns':
      return 'a mapping of names to columns';
    case 'texts':
      return type.choices ? `a list of ${type.choices.join(', ')}` : 'a list';
  }
}
