import { resolve } from 'node:path';
import { suggestion } from '../common/nearest';
import { readOverride } from '../common/overrides';
import { describeAllowed, flagOf, parseParam } from '../common/params';
import type { ParamSpec } from '../common/params';
import { flagName } from '../protocol/fields';
import type { Field, FieldType } from '../protocol/fields';
import type { TensorOverride } from '../protocol/jobs';
import { isTextData } from '../protocol/learnDefaults';
import type { MethodDescription } from '../protocol/methods';
import type { Arguments } from './arguments';
import { usageError } from './arguments';
import { methodParameters } from './fieldOptions';

/** What reading flags needs of a method. */
export type WithParameters = Pick<MethodDescription, 'id' | 'parameters'>;

/** What reading a command's arguments may look at. */
export interface ReadContext {
  /** Absolute folder that relative paths start from. */
  readonly folder: string;
  /** Methods that the kind has. */
  readonly methods: readonly WithParameters[];
  /** The one that was named, or the kind's own choice. */
  readonly method: WithParameters | undefined;
}

/** The values of the fields that were given, by key, as a recipe would give them. Errors: `invalid-argument`, naming the flag. */
export function readFields(fields: readonly Field[], given: Arguments, context: ReadContext): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  let position = 0;
  for (const field of fields) {
    const name = flagName(field);
    if (field.flag?.positional !== undefined) {
      values[field.key] = readText(field.type, given.positional(position), context.folder);
      position += 1;
    } else if (field.type.kind === 'parameters') {
      const parameters = context.method ? givenParameters(context.method, context.methods, given) : {};
      if (Object.keys(parameters).length > 0) values[field.key] = parameters;
    } else if (given.has(name)) {
      values[field.key] = readFlag(field, name, given, context, fields);
    }
  }
  return values;
}

function readFlag(field: Field, name: string, given: Arguments, context: ReadContext, fields: readonly Field[]): unknown {
  const { type } = field;
  const text = given.text(name) as string;
  switch (type.kind) {
    case 'value':
      if (type.spec.kind === 'boolean') return given.isOn(name) !== (field.flag?.negates === true);
      return parseParam(type.spec, text);
    case 'size':
      return given.size(name);
    case 'columns':
      return Object.fromEntries(given.texts(name).map((each) => parseColumn(each, name)));
    case 'texts':
      return type.choices ? parseChoices(text, name, type.choices) : given.texts(name);
    case 'overrides': {
      const { method } = context;
      const beside = fields.find(({ key }) => key === type.pinnedBeside);
      const pins = beside !== undefined && given.has(flagName(beside));
      return method ? given.texts(name).map((each) => parseOverride(each, method, pins)) : [];
    }
    default:
      return readText(type, text, context.folder);
  }
}

/** Text, or a path made absolute. */
function readText(type: FieldType, text: string, folder: string): string {
  if (type.kind === 'model' || type.kind === 'output') return resolve(folder, text);
  if (type.kind !== 'file' || type.words?.includes(text)) return text;
  // A share stays behind its path: `a.txt:0.7`.
  if (type.mixed && isTextData(text))
    return text
      .split(',')
      .map((part) => resolve(folder, part.trim()))
      .join(',');
  return resolve(folder, text);
}

/** The parameters on the command line, checked against the method that was chosen. */
function givenParameters(method: WithParameters, methods: readonly WithParameters[], given: Arguments): Readonly<Record<string, unknown>> {
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

function checkedValue(spec: ParamSpec, raw: string, name: string): unknown {
  const value = parseParam(spec, raw);
  if (value === undefined) throw usageError(`${name} must be ${describeAllowed(spec)}, got '${raw}'.`, { parameter: spec.key, value: raw });
  return value;
}

/** `pixels=p_*`: the graph's input, then the column. A column's name may hold `=`. */
function parseColumn(text: string, flag: string): readonly [input: string, column: string] {
  const cut = text.indexOf('=');
  if (cut <= 0 || cut === text.length - 1) throw usageError(`--${flag} must be INPUT=COLUMN, got '${text}'.`, { flag });
  return [text.slice(0, cut), text.slice(cut + 1)];
}

/** `archive,onnx-packed`: each at most once. */
function parseChoices(text: string, flag: string, choices: readonly string[]): readonly string[] {
  const words = text.split(',').map((part) => part.trim());
  for (const [index, word] of words.entries()) {
    if (!choices.includes(word))
      throw usageError(`--${flag} must name one or more of ${choices.join(', ')}, got '${word}'.${suggestion(word, choices)}`, { flag });
    if (words.indexOf(word) !== index) throw usageError(`--${flag} lists ${word} twice. List it once.`, { flag });
  }
  return words;
}

/** An override of some tensors. Errors: `invalid-argument`. */
function parseOverride(text: string, method: WithParameters, pins: boolean): TensorOverride {
  const override = readOverride(text, { method, pins, subject: '--override' });
  if (typeof override === 'string') throw usageError(override, { flag: 'override' });
  return override;
}
