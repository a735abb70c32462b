import { describeAllowed, flagOf } from '../common/params';
import { stepKinds } from '../engine/jobs/index';
import type { StepKind } from '../engine/jobs/stepKind';
import { describeAllMethods } from '../engine/services/allMethods';
import { recipeJsonSchema } from '../engine/recipe/jsonSchema';
import type { MethodDescription } from '../protocol/methods';
import type { Command } from './command';
import { commandsOf } from './commands/index';
import { optionText, usageLine } from './help';
import type { OptionSpec } from './options';
import { markdownTable } from './markdownTable';
import { optionUsage, sharedOptions } from './options';
import { recipesPage } from './recipesPage';

const mark = '<!-- Generated from the sources by "npm run docs"; do not edit. -->\n';

/** Files that are derived from definitions in the code, by path from the project's root. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const methods = describeAllMethods();
  return {
    'docs/methods.md': methodsPage(methods, stepKinds),
    'docs/command-line.md': commandLinePage(commandsOf(stepKinds)),
    'docs/recipes.md': `${mark}${recipesPage(stepKinds)}`,
    'media/loom.schema.json': `${JSON.stringify(recipeJsonSchema(stepKinds), undefined, 2)}\n`,
  };
}

const families = { quantizer: 'Quantizers', training: 'Training methods', pruner: 'Pruners', merge: 'Merging' } as const;

function methodsPage(methods: readonly MethodDescription[], kinds: readonly StepKind[]): string {
  const users = kinds.flatMap((kind) =>
    kind.methods && kind.command ? [`\`loomweight ${kind.command.name ?? kind.id} --method ID\``] : [],
  );
  const sections = (Object.keys(families) as (keyof typeof families)[])
    .map((family) => ({ title: families[family], list: methods.filter((method) => method.family === family) }))
    .filter(({ list }) => list.length > 0)
    .map(({ title, list }) => `\n## ${title}\n${list.map(methodSection).join('')}`);
  return `${mark}\n# Methods\n\nWhat ${users.join(', ')}, the editor and recipes offer.\n${sections.join('')}`;
}

function methodSection(method: MethodDescription): string {
  const { source } = method;
  const by = [source.authors, source.year, source.equation].filter((part) => part !== undefined).join(', ');
  const rows = method.parameters.map((spec) => [
    `\`${spec.key}\``,
    `\`${flagOf(spec)}\``,
    spec.doc,
    describeAllowed(spec),
    `\`${String(spec.default)}\``,
  ]);
  return (
    `\n### ${method.label} (\`${method.id}\`)\n\n${method.summary}\n\n` +
    `Data: ${method.needs.length === 0 ? 'none' : method.needs.join(', ')}. Source: [${source.title}](${source.url})${by ? ` (${by})` : ''}.\n\n` +
    markdownTable(['Parameter', 'Flag', 'Meaning', 'Allowed', 'Default'], rows)
  );
}

function commandLinePage(list: readonly Command[]): string {
  return (
    `${mark}\n# Command line\n\n` +
    'A model is a file (`.safetensors`, `.onnx`, `.gguf`, `.npy`), a Hugging Face directory or any folder that Loomweight wrote. ' +
    'Results go to stdout, progress and errors to stderr.\n\n' +
    markdownTable(
      ['Exit code', 'Meaning'],
      [
        ['0', 'done'],
        ['1', 'internal error, or the engine ended unexpectedly'],
        ['2', 'bad arguments, or a named file, step or method does not exist'],
        ['3', 'unsupported or malformed input'],
        ['4', 'not enough memory or disk'],
        ['5', 'verification failed'],
        ['130', 'cancelled'],
      ],
    ) +
    `\n## Options of every command\n\n${optionTable(sharedOptions)}${list.map(commandSection).join('')}`
  );
}

function commandSection(command: Command): string {
  const { positionals, options } = command;
  const details = (command.details ?? []).map((text) => `\n${text}\n`).join('');
  const args =
    positionals.length === 0
      ? ''
      : `\n${markdownTable(
          ['Argument', 'Meaning'],
          positionals.map(({ name, doc }) => [`\`${name}\``, doc]),
        )}`;
  return (
    `\n## ${command.name}\n\n${command.summary}\n\n\`\`\`\n${usageLine(command)}\n\`\`\`\n${details}${args}` +
    (options.length === 0 ? '' : `\n${optionTable(options)}`) +
    `\nExamples:\n\n\`\`\`sh\n${command.examples.join('\n')}\n\`\`\`\n`
  );
}

function optionTable(options: readonly OptionSpec[]): string {
  return markdownTable(
    ['Flag', 'Meaning'],
    options.map((option) => [`\`${optionUsage(option)}\``, optionText(option)]),
  );
}
