import { describeAllowed, describeParam } from '../../common/params';
import type { ParamSpec } from '../../common/params';
import type { RecipeCompletion, RecipePosition } from '../../protocol/engine';
import type { Field } from '../../protocol/fields';
import type { MethodDescription } from '../../protocol/methods';
import type { StepKind } from '../jobs/stepKind';
import { locateCursor } from './cursor';
import type { CursorPlace } from './cursor';
import { fieldsOf, settingFields, sharedFields, topLevelKeys } from './fields';

/** A key that is allowed at the cursor. */
interface KeyOffer {
  readonly key: string;
  readonly doc: string;
  /** What follows the colon: a space, or a new line for mappings and lists. */
  readonly after?: string;
}

/**
 * Completions at a position of a recipe: keys that are not there yet, or values. Works on half-written text, because it looks
 * at lines and indentation, not at a parsed document.
 */
export function completeRecipe(
  request: { readonly text: string; readonly position: RecipePosition },
  kinds: readonly StepKind[],
): readonly RecipeCompletion[] {
  const place = locateCursor(request.text, request.position, kinds);
  if (!place) return [];
  return place.key === undefined ? completeKeys(place, kinds) : completeValues(place, place.key, kinds);
}

function completeKeys(place: CursorPlace, kinds: readonly StepKind[]): readonly RecipeCompletion[] {
  return keyOffers(place, kinds)
    .filter(({ key }) => !place.siblings.has(key))
    .map(({ key, doc, after }) => ({ label: key, detail: doc, insertText: `${place.startsItem ? '- ' : ''}${key}:${after ?? ' '}` }));
}

function keyOffers(place: CursorPlace, kinds: readonly StepKind[]): readonly KeyOffer[] {
  const path = place.path.join('.');
  const indent = ' '.repeat(place.column);
  switch (path) {
    case '':
      return topLevelKeys.map(({ key, doc }) => ({
        key,
        doc,
        after: key === 'steps' ? '\n  - kind: ' : key === 'name' ? ' ' : '\n  ',
      }));
    case 'settings':
      return settingFields;
    case 'steps': {
      const kind = kinds.find(({ id }) => id === place.siblings.get('kind'));
      const nested = (field: Field): KeyOffer =>
        field.type.kind === 'parameters'
          ? { ...field, after: `\n${indent}  ` }
          : field.type.kind === 'overrides'
            ? { ...field, after: `\n${indent}  - glob: ` }
            : field;
      // Without a kind nothing else is known, so only the key kind is offered.
      return kind ? [...sharedFields(kinds), ...fieldsOf(kind)].map(nested) : sharedFields(kinds);
    }
    case 'steps.overrides':
      return [
        { key: 'glob', doc: "Glob of tensor names, such as '*.down_proj.weight'." },
        { key: 'parameters', doc: 'Parameters that differ for these tensors.', after: `\n${indent}  ` },
      ];
    case 'steps.parameters':
    case 'steps.overrides.parameters':
      return parametersOf(place, kinds).map((spec) => ({ key: spec.key, doc: parameterDetail(spec) }));
    default:
      return [];
  }
}

/** Parameters of the step's method; of all methods where the step names none. */
function parametersOf(place: CursorPlace, kinds: readonly StepKind[]): readonly ParamSpec[] {
  const methods = methodsOf(place, kinds);
  const method = methods.find(({ id }) => id === place.step.get('method'));
  return (method ? [method] : methods).flatMap(({ parameters }) => parameters);
}

/** Methods that a step of the kind at hand may name. */
function methodsOf(place: CursorPlace, kinds: readonly StepKind[]): readonly MethodDescription[] {
  return kinds.find(({ id }) => id === place.step.get('kind'))?.methods?.() ?? [];
}

function parameterDetail(spec: ParamSpec): string {
  return `${describeParam(spec)} Default: ${spec.default}.`;
}

function completeValues(place: CursorPlace, key: string, kinds: readonly StepKind[]): readonly RecipeCompletion[] {
  const path = place.path.join('.');
  if (path === 'steps' && key === 'kind') return kinds.map(({ id, summary }) => word(id, summary));
  if (path === 'steps.parameters' || path === 'steps.overrides.parameters') {
    const spec = parametersOf(place, kinds).find((candidate) => candidate.key === key);
    return spec ? valuesOf(spec) : [];
  }
  const kind = kinds.find(({ id }) => id === place.siblings.get('kind'));
  const fields = path === 'settings' ? settingFields : path === 'steps' && kind ? fieldsOf(kind) : [];
  const type = fields.find((field) => field.key === key)?.type;
  switch (type?.kind) {
    case 'method':
      return methodsOf(place, kinds).map(({ id, label, summary }) => word(id, `${label}. ${summary}`));
    case 'value':
      return valuesOf(type.spec);
    case 'model':
      return [...place.earlierOutputs.map((name) => word(name, 'output of an earlier step')), ...inputWords(place)];
    case 'file':
      return [
        ...place.earlierFiles.map((name) => word(name, 'file of an earlier step')),
        ...inputWords(place),
        ...(type.words ?? []).map((each) => word(each, 'instead of a file')),
      ];
    case 'texts':
      return (type.choices ?? []).map((choice) => word(choice, 'one of a list'));
    case 'size':
      return ['2GB', '4GB', '8GB', '16GB'].map((size) => word(size, 'memory limit'));
    default:
      return [];
  }
}

function inputWords(place: CursorPlace): readonly RecipeCompletion[] {
  return place.inputs.map(([name, path]) => word(name, path));
}

function word(label: string, detail: string): RecipeCompletion {
  return { label, detail, insertText: label };
}

function valuesOf(spec: ParamSpec): readonly RecipeCompletion[] {
  switch (spec.kind) {
    case 'boolean':
      return ['true', 'false'].map((value) => word(value, spec.doc));
    case 'choice':
      return spec.choices.map((value) => word(value, spec.doc));
    case 'integer-or-word':
      return [String(spec.default), ...spec.words].map((value) => word(value, describeAllowed(spec)));
    case 'integer':
      // A short range is a list to choose from; a long one is not.
      return spec.max - spec.min < 16
        ? Array.from({ length: spec.max - spec.min + 1 }, (_, index) => word(String(spec.min + index), spec.doc))
        : [];
    default:
      return [word(String(spec.default), describeAllowed(spec))];
  }
}
