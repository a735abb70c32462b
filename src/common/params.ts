/**
 * Parameter specifications. One list describes a method's parameters everywhere:
 * command line flags, panel forms, validation, recipe schema and completions, docs/methods.md.
 */

/** The value of a parsed parameter. */
export type ParamValue = number | string | boolean;

interface ParamBase {
  /** camelCase name in recipes and reports; the flag is its kebab-case form. */
  readonly key: string;
  readonly label: string;
  /** One sentence in plain language. */
  readonly doc: string;
}

/** An integer within inclusive limits. */
export interface IntegerParam extends ParamBase {
  readonly kind: 'integer';
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly unit?: string;
}

/** A real number within inclusive limits; exclusive at the lower end with `above`. */
export interface NumberParam extends ParamBase {
  readonly kind: 'number';
  readonly default: number;
  readonly min: number;
  /** Absent: no upper limit. */
  readonly max?: number;
  /** `min` itself is not allowed. */
  readonly above?: boolean;
  readonly unit?: string;
}

/** A switch. */
export interface BooleanParam extends ParamBase {
  readonly kind: 'boolean';
  readonly default: boolean;
}

/** One of several keywords. */
export interface ChoiceParam extends ParamBase {
  readonly kind: 'choice';
  readonly default: string;
  readonly choices: readonly string[];
}

/** An integer or one of several keywords, as in `--group-size 32|row|tensor`. */
export interface IntegerOrWordParam extends ParamBase {
  readonly kind: 'integer-or-word';
  readonly default: number | string;
  readonly min: number;
  readonly max: number;
  readonly words: readonly string[];
}

/** A parameter of a method. */
export type ParamSpec = IntegerParam | NumberParam | BooleanParam | ChoiceParam | IntegerOrWordParam;

/** Values by key, complete after `resolveParams`. */
export type ParamValues = Readonly<Record<string, ParamValue>>;

/** Describes the allowed values: `a whole number from 1 to 8`. */
export function describeAllowed(spec: ParamSpec): string {
  switch (spec.kind) {
    case 'integer':
      return `a whole number from ${spec.min} to ${spec.max}`;
    case 'number':
      return `a number ${describeLimits(spec)}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${spec.choices.join(', ')}`;
    case 'integer-or-word':
      return `a whole number from ${spec.min} to ${spec.max}, or ${spec.words.join(' or ')}`;
  }
}

/** What a parameter means and which values it takes, as sentences. */
export function describeParam(spec: ParamSpec): string {
  const allowed = describeAllowed(spec);
  return `${spec.doc} ${allowed.slice(0, 1).toUpperCase()}${allowed.slice(1)}.`;
}

function describeLimits({ min, max, above }: NumberParam): string {
  if (max === undefined) return above ? `above ${min}` : `of ${min} or more`;
  return above ? `above ${min} and at most ${max}` : `from ${min} to ${max}`;
}

/** Parses text or a raw value of one parameter. Undefined if the value is not allowed. */
export function parseParam(spec: ParamSpec, raw: unknown): ParamValue | undefined {
  const asNumber = typeof raw === 'number' ? raw : typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : NaN;
  const inRange = ({ min, max = Infinity, above = false }: Omit<NumberParam, keyof ParamBase | 'kind' | 'default'>) =>
    (above ? asNumber > min : asNumber >= min) && asNumber <= max;
  switch (spec.kind) {
    case 'integer':
      return Number.isInteger(asNumber) && inRange(spec) ? asNumber : undefined;
    case 'number':
      return Number.isFinite(asNumber) && inRange(spec) ? asNumber : undefined;
    case 'boolean':
      return raw === true || raw === 'true' ? true : raw === false || raw === 'false' ? false : undefined;
    case 'choice':
      return typeof raw === 'string' && spec.choices.includes(raw) ? raw : undefined;
    case 'integer-or-word':
      if (typeof raw === 'string' && spec.words.includes(raw)) return raw;
      return Number.isInteger(asNumber) && inRange(spec) ? asNumber : undefined;
  }
}

/**
 * Fills in defaults and checks every given value. Problems are sentences that name the parameter, the allowed range and the
 * given value; an unknown key is also a problem. Nothing is thrown: the caller decides what to do about problems.
 */
export function resolveParams(
  specs: readonly ParamSpec[],
  given: Readonly<Record<string, unknown>>,
): { readonly values: ParamValues; readonly problems: readonly string[] } {
  const values: Record<string, ParamValue> = {};
  const problems: string[] = [];
  for (const spec of specs) {
    const raw = given[spec.key];
    const value = raw === undefined ? spec.default : parseParam(spec, raw);
    if (value === undefined) problems.push(`${spec.key} must be ${describeAllowed(spec)}, got ${JSON.stringify(raw)}.`);
    else values[spec.key] = value;
  }
  for (const key of Object.keys(given)) {
    if (given[key] !== undefined && !specs.some((spec) => spec.key === key))
      problems.push(`Unknown parameter ${key}; the parameters are: ${specs.map((spec) => spec.key).join(', ') || 'none'}.`);
  }
  return { values, problems };
}

/** `groupSize` becomes `--group-size`. */
export function flagOf(spec: ParamSpec): string {
  return `--${spec.key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
