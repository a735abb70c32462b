import { describeAllowed, flagOf, parseParam } from '../common/params';
import type { ParamSpec } from '../common/params';
import type { MethodDescription } from '../protocol/methods';
import type { Arguments } from './arguments';
import { usageError } from './arguments';
import type { OptionSpec } from './options';

/** What reading flags needs of a method. */
export type WithParameters = Pick<MethodDescription, 'id' | 'parameters'>;

/** One flag for each parameter of the methods; where methods share a parameter, the first one's text stands in the help. */
export function methodParameters(methods: readonly WithParameters[]): readonly OptionSpec[] {
  const specs = new Map<string, ParamSpec>();
  for (const method of methods) for (const spec of method.parameters) if (!specs.has(spec.key)) specs.set(spec.key, spec);
  return [...specs.values()].map((spec) => ({ name: flagOf(spec).slice(2), kind: 'parameter', doc: spec.doc, spec }));
}

/** The parameters that stand on the command line, checked against the method that was chosen. */
export function givenParameters(
  method: WithParameters,
  methods: readonly WithParameters[],
  given: Arguments,
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const option of methodParameters(methods)) {
    const raw = given.text(option.name);
    if (raw === undefined || option.kind !== 'parameter') continue;
    const spec = method.parameters.find(({ key }) => key === option.spec.key);
    if (!spec)
      throw usageError(
        `Method '${method.id}' has no --${option.name}. It has: ${method.parameters.map(flagOf).join(', ') || 'no parameters'}.`,
        {
          method: method.id,
          flag: option.name,
        },
      );
    values[spec.key] = checkedValue(spec, raw, `--${option.name}`);
  }
  return values;
}

export function checkedValue(spec: ParamSpec, raw: string, name: string): unknown {
  const value = parseParam(spec, raw);
  if (value === undefined) throw usageError(`${name} must be ${describeAllowed(spec)}, got '${raw}'.`, { parameter: spec.key, value: raw });
  return value;
}
