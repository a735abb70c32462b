import type { ParamSpec } from '../common/params';

/** What a field of a step may hold. */
export type FieldType =
  /** A model: a path; in a recipe also the name of an input or of an earlier step that writes a model. */
  | { readonly kind: 'model' }
  /** A file or folder, or one of `words`. `mixed`: also several texts with their shares, `a.txt:0.7,b.txt:0.3`. */
  | { readonly kind: 'file'; readonly words?: readonly string[]; readonly mixed?: boolean }
  /** A folder to write; with `file`, a file with that ending. */
  | { readonly kind: 'output'; readonly file?: string }
  | { readonly kind: 'text' }
  | { readonly kind: 'size' }
  /** A method of the kind. `default`: the method where none is named. */
  | { readonly kind: 'method'; readonly default?: string }
  /** Parameters of the step's method by key; a flag for each on the command line. */
  | { readonly kind: 'parameters' }
  /** `[{ glob, parameters }]`. Beside the field `pinnedBeside`, bits may also be 16 (left alone) or 0 (pruned). */
  | { readonly kind: 'overrides'; readonly pinnedBeside?: string }
  /** Names to names: `{ input: 'pixel_*' }`. */
  | { readonly kind: 'columns' }
  /** A list of texts, or one text; with `choices` each of them once. */
  | { readonly kind: 'texts'; readonly choices?: readonly string[] }
  | { readonly kind: 'value'; readonly spec: ParamSpec };

/**
 * A field of a step: a key of recipes and of the job's specification, a flag of the command line, a line of the form. One definition serves all of them.
 */
export interface Field {
  /** camelCase; the flag is its kebab-case form. */
  readonly key: string;
  /** One or more plain sentences. */
  readonly doc: string;
  readonly type: FieldType;
  readonly required?: boolean;
  /** Where the command line differs from what key, doc and type give. */
  readonly flag?: Flag;
  /** Commands only: a recipe has no such key. */
  readonly commandOnly?: boolean;
}

/** How the command line writes a field. */
export interface Flag {
  readonly name?: string;
  /** The value as the help names it: `FILE`. */
  readonly value?: string;
  readonly doc?: string;
  /** An argument without a flag, with its name in the usage line: `MODEL`. */
  readonly positional?: string;
  /** A switch that means `false`. */
  readonly negates?: boolean;
}

/** What must hold between the fields of a step. Recipes, command line and JSON Schema are all checked by it. */
export type FieldRule =
  /** At least one of the keys; `what` states the purpose. */
  | { readonly rule: 'some'; readonly keys: readonly string[]; readonly what: string }
  /** Exactly one of the keys. */
  | { readonly rule: 'one'; readonly keys: readonly string[]; readonly what: string }
  /** At most one of the keys. */
  | { readonly rule: 'exclusive'; readonly keys: readonly string[] }
  /** The keys mean something beside another one only, or with `orStatistics` also to a method that needs statistics. */
  | { readonly rule: 'belongs'; readonly keys: readonly string[]; readonly to: string; readonly orStatistics?: true }
  /** The keys apply only to methods that learn widths. */
  | { readonly rule: 'learnsWidths'; readonly keys: readonly string[] }
  /** The keys apply only to methods that need statistics. */
  | { readonly rule: 'needsStatistics'; readonly keys: readonly string[] };

/** Something wrong with the fields of a step: the key to point at, absent if one is missing, and a sentence. */
export interface FieldProblem {
  readonly key?: string;
  readonly message: string;
}

/** Names of fields in a user interface: `budget` in a recipe, `--budget` on the command line. */
export interface FieldWords {
  /** A field or a parameter of a method. */
  name(key: string): string;
  /** One of the fields is missing; `what` states the purpose. */
  lacks(keys: readonly string[], what: string): string;
  /** Follows `unit requires budget, `: the step has no budget. */
  readonly absent: string;
  /** Follows `window requires text, `: the step has another field instead. */
  present(key: string): string;
}

/** `targetBits` becomes `Target bits`: the field's name in forms. */
export function fieldLabel(key: string): string {
  const words = key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}`;
}

/** `targetBits` becomes `target-bits`. */
export function flagName({ key, flag }: Pick<Field, 'key' | 'flag'>): string {
  return flag?.name ?? key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A whole number from `min` to `max`. */
export function wholeNumber(key: string, doc: string, min: number, options: FieldOptions & { readonly max?: number } = {}): Field {
  const { max = 2 ** 31 - 1, ...rest } = options;
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'integer', min, max, default: min } }, ...rest };
}

/** A number of 0 or more. */
export function number(key: string, doc: string, options: FieldOptions = {}): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'number', min: 0, default: 0 } }, ...options };
}

/** One of several words. */
export function choice(key: string, doc: string, choices: readonly string[], options: FieldOptions = {}): Field {
  return {
    key,
    doc,
    type: { kind: 'value', spec: { key, label: key, doc, kind: 'choice', choices, default: choices[0] as string } },
    ...options,
  };
}

/** True or false. */
export function yesOrNo(key: string, doc: string, options: FieldOptions & { readonly default?: boolean } = {}): Field {
  const { default: value = false, ...rest } = options;
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'boolean', default: value } }, ...rest };
}

/** What every builder takes besides key and doc. */
export type FieldOptions = Pick<Field, 'required' | 'flag' | 'commandOnly'>;

/** The model that a step works on. `doc` states which models the kind accepts; `role` distinguishes several models of a step. */
export function modelField(
  doc: string,
  options: { readonly key?: string; readonly positional?: string; readonly role?: string } = {},
): Field {
  const { key = 'model', positional = 'MODEL', role = 'The model' } = options;
  return {
    key,
    doc: `${role}: a path relative to this file, the name of an input, or the name of an earlier step that writes a model.`,
    type: { kind: 'model' },
    required: true,
    flag: { positional, doc },
  };
}

/** Where a step writes. */
export const outField: Field = {
  key: 'out',
  doc: 'Folder to write, relative to this file.',
  type: { kind: 'output' },
  required: true,
  flag: { value: 'DIR', doc: 'Folder to write. It must not exist yet, or be empty.' },
};

/** Keeps what failed. */
export const keepFailedField: Field = yesOrNo('keepFailed', 'Keep the output for inspection when its verification fails.');

/** Limits a step to some tensors. */
export const tensorsField: Field = {
  key: 'tensors',
  doc: "Only tensors whose name matches this glob, such as '*.mlp.*'.",
  type: { kind: 'text' },
  flag: { value: 'GLOB', doc: "Only tensors whose name matches, such as '*.mlp.*'." },
};
