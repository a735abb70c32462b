import { flagOf } from '../common/params';
import type { ParamSpec } from '../common/params';
import { flagName } from '../protocol/fields';
import type { Field } from '../protocol/fields';
import type { MethodDescription } from '../protocol/methods';
import type { PositionalSpec } from './commandShape';
import type { OptionSpec } from './options';

/** The positional arguments of a kind's command. */
export function positionalsOf(fields: readonly Field[]): readonly PositionalSpec[] {
  return fields.flatMap(({ flag, doc }) => (flag?.positional === undefined ? [] : [{ name: flag.positional, doc: flag.doc ?? doc }]));
}

/** The flags of a kind's command, one for each other field; the methods' parameters in the place of the field that holds them. */
export function optionsOfFields(fields: readonly Field[], methods: readonly MethodDescription[]): readonly OptionSpec[] {
  return fields.flatMap((field): readonly OptionSpec[] => {
    if (field.flag?.positional !== undefined) return [];
    return field.type.kind === 'parameters' ? methodParameters(methods) : [optionOf(field, methods)];
  });
}

/** One flag for each parameter of the methods; where methods share a parameter, the first one's text is in the help. */
export function methodParameters(methods: readonly Pick<MethodDescription, 'parameters'>[]): readonly OptionSpec[] {
  const specs = new Map<string, ParamSpec>();
  for (const method of methods) for (const spec of method.parameters) if (!specs.has(spec.key)) specs.set(spec.key, spec);
  return [...specs.values()].map((spec) => ({ name: flagOf(spec).slice(2), kind: 'parameter', doc: spec.doc, spec }));
}

function optionOf(field: Field, methods: readonly MethodDescription[]): OptionSpec {
  const { type, flag = {}, required = false } = field;
  const base = { name: flagName(field), doc: flag.doc ?? field.doc, ...(required ? { required } : {}) };
  const text = (value: string, repeated = false): OptionSpec => ({
    ...base,
    kind: 'text',
    value: flag.value ?? value,
    ...(repeated ? { repeated } : {}),
  });
  switch (type.kind) {
    case 'value':
      return valueOption(base, type.spec, flag.value);
    case 'method':
      return { ...base, kind: 'choice', value: flag.value ?? 'ID', choices: methods.map(({ id }) => id) };
    case 'size':
      return { ...base, kind: 'size', value: flag.value ?? 'SIZE' };
    case 'model':
      return text('MODEL');
    case 'file':
      return text('FILE');
    case 'output':
      return text('DIR');
    case 'overrides':
      return text('GLOB=KEY:VALUE,...', true);
    case 'columns':
      return text('INPUT=COLUMN', true);
    case 'texts':
      return type.choices ? text('NAME,...') : text('TEXT', true);
    case 'text':
    case 'parameters':
      return text('TEXT');
  }
}

function valueOption(base: Pick<OptionSpec, 'name' | 'doc' | 'required'>, spec: ParamSpec, value: string | undefined): OptionSpec {
  switch (spec.kind) {
    case 'boolean':
      return { ...base, kind: 'switch' };
    case 'choice':
      return { ...base, kind: 'choice', value: value ?? 'NAME', choices: spec.choices };
    case 'integer':
      return { ...base, kind: 'integer', value: value ?? 'N', min: spec.min, max: spec.max };
    default:
      return { ...base, kind: 'number', value: value ?? 'X', spec };
  }
}
