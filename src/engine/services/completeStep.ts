import type { StepForm } from '../../protocol/kinds';
import { fieldLabel } from '../../protocol/fields';
import type { FieldProblem, FieldWords } from '../../protocol/fields';
import type { JobSpec } from '../../protocol/jobs';
import { checkFields, findKind, specOf } from '../jobs/stepKind';
import type { StepKind } from '../jobs/stepKind';

/** The job of a completed form, with defaults, or the form's problems. Errors: `invalid-argument` for an unknown kind. */
export function completeStep(
  kinds: readonly StepKind[],
  form: StepForm,
): { readonly problems: readonly FieldProblem[]; readonly spec?: JobSpec } {
  const kind = findKind(kinds, form.kind);
  const missing = kind.fields
    .filter(({ key, required }) => required === true && form.values[key] === undefined)
    .map(({ key, doc }) => ({ key, message: `Set ${fieldLabel(key)}: ${doc}` }));
  const problems = [...missing, ...checkFields(kind, form.values, formWords)];
  if (problems.length > 0) return { problems };
  return { problems, spec: specOf(kind, form.values, { words: formWords, say: () => undefined }) };
}

/** Names of form fields in error messages. */
const formWords: FieldWords = {
  name: fieldLabel,
  lacks: (keys, what) => `Set ${keys.map(fieldLabel).join(' or ')}: ${what}`,
  absent: 'which is not set',
  present: (key) => `but ${fieldLabel(key)} is set`,
};
