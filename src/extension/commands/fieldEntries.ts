import { overridesText, readOverrides, type Override, type OverrideRules } from '../../common/overrides';
import type { ParamSpec, ParamValue } from '../../common/params';
import { describeAllowed, parseParam } from '../../common/params';
import { parseBytes } from '../../common/units';
import { fieldLabel } from '../../protocol/fields';
import type { Field } from '../../protocol/fields';
import { chosenMethod } from '../../protocol/kinds';
import type { StepKindDescription } from '../../protocol/kinds';
import type { MethodDescription } from '../../protocol/methods';
import type { CommandContext } from './context';
import type { OutputChoice } from './outputEntry';
import { outputEntry } from './outputEntry';
import { parameterEntries, valueText } from './parameterEntries';
import { parseColumns } from './parseColumns';
import { choose, chooseSeveral, pickFile, pickFolder, pickModel } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText } from './settingsHub';

/** A form of a kind's fields while it is filled in. Omitted fields get their defaults from the engine. */
export interface Form {
  readonly kind: StepKindDescription;
  readonly title: string;
  readonly values: Record<string, unknown>;
  /** Parameters of the method that were changed. */
  readonly parameters: Record<string, ParamValue>;
  /** Where the job writes, for kinds that write. */
  readonly output: OutputChoice;
}

/** The method that the form names, or the kind's own choice. */
export function methodOfForm({ kind, values }: Form): MethodDescription | undefined {
  return chosenMethod(kind.fields, kind.methods, values);
}

/** The form's values, for the engine. */
export function valuesOfForm({ kind, values, parameters, output }: Form): Readonly<Record<string, unknown>> {
  const extra = kind.fields.flatMap(({ key, type }): readonly (readonly [string, unknown])[] => {
    if (type.kind === 'output') return [[key, output.out]];
    return type.kind === 'parameters' && Object.keys(parameters).length > 0 ? [[key, parameters]] : [];
  });
  return { ...Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)), ...Object.fromEntries(extra) };
}

/** A line for each field of a form. */
export function fieldEntries(context: CommandContext, form: Form): readonly HubEntry[] {
  return form.kind.fields.flatMap((field): readonly HubEntry[] => {
    switch (field.type.kind) {
      case 'output':
        return [outputEntry(form.output, form.title, field.type.file)];
      case 'parameters':
        return parameterEntries(methodOfForm(form)?.parameters ?? [], form.parameters, form.title);
      default: {
        const value = form.values[field.key];
        return [
          {
            label: fieldLabel(field.key),
            value: value === undefined ? 'default' : shown(value, field),
            detail: field.doc,
            edit: async () => {
              form.values[field.key] = await askField(context, form, field);
            },
          },
        ];
      }
    }
  });
}

/** How overrides of the form's method are read. Without a method there is no parameter to override. */
function rulesOf(form: Form, pinnedBeside: string | undefined): OverrideRules {
  const method = methodOfForm(form) ?? { id: 'none', parameters: [] };
  return { method, pins: pinnedBeside !== undefined && form.values[pinnedBeside] !== undefined, subject: 'An override' };
}

/** Asks for a field's value. Undefined for the default. */
export async function askField(context: CommandContext, form: Form, field: Field): Promise<unknown> {
  const { type, key, doc } = field;
  const { title } = form;
  const label = fieldLabel(key);
  const current = form.values[key];
  const question = { title, placeholder: `${label}. ${doc}` };
  const text = (check?: (entered: string) => string | undefined): Promise<string> =>
    askText({
      title,
      prompt: `${label}. ${doc} Leave empty for the default.`,
      value: current === undefined ? '' : shown(current, field),
      check: (entered) => (entered.trim() === '' ? undefined : check?.(entered.trim())),
    });
  switch (type.kind) {
    case 'value':
      return askValue(type.spec, question, text);
    case 'model':
      return pickModel(context.catalog, undefined, question);
    case 'file':
      return askFile(title, label, type.words ?? []);
    case 'method': {
      const items = form.kind.methods.map((method) => ({
        label: method.label,
        description: method.id,
        detail: method.summary,
        value: method.id,
      }));
      const id = await choose(items, question);
      for (const name of Object.keys(form.parameters)) delete form.parameters[name];
      return id;
    }
    case 'size': {
      const size = await text((entered) => (parseBytes(entered) === undefined ? 'Enter a size such as 3GB or 512MiB.' : undefined));
      return parseBytes(size);
    }
    case 'columns': {
      const columns = await text((entered) => (parseColumns(entered) ? undefined : 'Enter name=column, separated by commas.'));
      return columns === '' ? undefined : parseColumns(columns);
    }
    case 'overrides': {
      const rules = rulesOf(form, type.pinnedBeside);
      const overrides = readOverrides(
        await text((entered) => {
          const read = readOverrides(entered, rules);
          return typeof read === 'string' ? read : undefined;
        }),
        rules,
      );
      return typeof overrides === 'string' || overrides.length === 0 ? undefined : overrides;
    }
    case 'texts': {
      if (type.choices)
        return chooseSeveral(
          type.choices.map((value) => ({ label: value, value })),
          question,
        );
      const texts = (await text()).split(',').map((part) => part.trim());
      return texts.some((part) => part !== '') ? texts.filter((part) => part !== '') : undefined;
    }
    default:
      return (await text()) || undefined;
  }
}

async function askValue(
  spec: ParamSpec,
  question: { readonly title: string; readonly placeholder: string },
  text: (check: (entered: string) => string | undefined) => Promise<string>,
): Promise<ParamValue | undefined> {
  if (spec.kind === 'boolean' || spec.kind === 'choice') {
    const values: readonly ParamValue[] = spec.kind === 'boolean' ? [true, false] : spec.choices;
    return choose(
      values.map((value) => ({ label: valueText(value), value })),
      question,
    );
  }
  const entered = await text((given) =>
    parseParam(spec, given) === undefined ? `The value must be ${describeAllowed(spec)}.` : undefined,
  );
  return entered === '' ? undefined : parseParam(spec, entered);
}

async function askFile(title: string, label: string, words: readonly string[]): Promise<string> {
  const chosen = await choose(
    [
      { icon: 'file', label: 'Choose a file…', value: ':file' },
      { icon: 'folder-opened', label: 'Choose a folder…', value: ':folder' },
      ...words.map((word) => ({ label: word, value: word })),
    ],
    { title, placeholder: label },
  );
  if (chosen === ':file') return pickFile(title, { All: ['*'] });
  return chosen === ':folder' ? pickFolder(title) : chosen;
}

function shown(value: unknown, { type }: Field): string {
  if (type.kind === 'overrides') return overridesText(value as readonly Override[]);
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, column]) => `${name}=${String(column)}`)
      .join(', ');
  return valueText(value as ParamValue);
}
