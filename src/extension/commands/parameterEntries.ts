import type { ParamSpec, ParamValue } from '../../common/params';
import { describeAllowed, parseParam } from '../../common/params';
import { choose } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText } from './settingsHub';

/** A parameter's value as people read it. */
export function valueText(value: ParamValue): string {
  return value === true ? 'yes' : value === false ? 'no' : String(value);
}

/** Entries of the settings hub for a method's parameters: the same specifications that the command line's flags come from. */
export function parameterEntries(specs: readonly ParamSpec[], values: Record<string, ParamValue>, title: string): readonly HubEntry[] {
  return specs.map((spec) => ({
    label: spec.label,
    value: valueText(values[spec.key] ?? spec.default),
    detail: spec.doc,
    edit: async () => {
      values[spec.key] = await askParameter(spec, values[spec.key] ?? spec.default, title);
    },
  }));
}

async function askParameter(spec: ParamSpec, current: ParamValue, title: string): Promise<ParamValue> {
  const placeholder = `${spec.label}, currently ${valueText(current)}`;
  if (spec.kind === 'boolean') {
    const answers = [true, false].map((value) => ({ label: valueText(value), value }));
    return choose<ParamValue>(answers, { title, placeholder, back: true, current });
  }
  if (spec.kind === 'choice') {
    return choose<ParamValue>(
      spec.choices.map((value) => ({ label: value, value })),
      { title, placeholder, back: true, current },
    );
  }
  const text = await askText({
    title,
    prompt: `${spec.label}: ${describeAllowed(spec)}. ${spec.doc}`,
    value: String(current),
    check: (entered) => (parseParam(spec, entered) === undefined ? `${spec.label} must be ${describeAllowed(spec)}.` : undefined),
  });
  return parseParam(spec, text) ?? spec.default;
}
