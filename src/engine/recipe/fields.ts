import { choice, wholeNumber } from '../../protocol/fields';
import type { Field } from '../../protocol/fields';
import { providerChoices } from '../../protocol/jobs';
import type { StepKind } from '../jobs/stepKind';

/** Keys of a step that do not depend on its kind. */
export function sharedFields(kinds: readonly StepKind[]): readonly Field[] {
  return [
    choice(
      'kind',
      'What the step does.',
      kinds.map(({ id }) => id),
      { required: true },
    ),
    { key: 'name', doc: 'Name for later steps and the report: letters, digits, dots, dashes and underscores.', type: { kind: 'text' } },
  ];
}

/** Keys that a kind's step may have in a recipe, without those of every step. */
export function fieldsOf(kind: StepKind): readonly Field[] {
  return kind.fields.filter(({ commandOnly }) => commandOnly !== true);
}

/** Keys of `settings`: for every step; flags of the command line win over them. */
export const settingFields: readonly Field[] = [
  choice('provider', 'Execution provider. With auto, the reports state which one was chosen.', providerChoices),
  wholeNumber('threads', 'CPU threads, at most one per core.', 1),
  { key: 'maxMemory', doc: 'Memory limit of each job on the host, such as 3GB.', type: { kind: 'size' } },
  wholeNumber('seed', 'Random seed.', 0),
];

/** Keys of the whole file. */
export const topLevelKeys: readonly { readonly key: string; readonly doc: string; readonly required?: boolean }[] = [
  { key: 'name', doc: 'Short description of the recipe.' },
  { key: 'inputs', doc: 'Names for models, texts and data, each with a path relative to this file.' },
  { key: 'settings', doc: 'Provider, threads, memory limit and seed for every step.' },
  { key: 'steps', doc: 'What to do, in order.', required: true },
];
