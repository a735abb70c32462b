import { suggestion } from '../common/nearest';
import { describeAllowed, parseParam } from '../common/params';
import { parseBytes } from '../common/units';
import { LoomweightError } from '../protocol/errors';
import type { SharedJobOptions } from '../protocol/jobs';
import { providerChoices } from '../protocol/jobs';
import type { CommandShape } from './commandShape';
import type { OptionSpec } from './options';
import { optionUsage, sharedOptions } from './options';

/** The words and flags that a command was given, read by kind. Complaints name the flag and what it allows. */
export class Arguments {
  constructor(
    readonly positionals: readonly string[],
    private readonly given: ReadonlyMap<string, readonly string[]>,
  ) {}

  /** A positional that the parser has checked to be there. */
  positional(index: number): string {
    return this.positionals[index] as string;
  }

  has(name: string): boolean {
    return this.given.has(name);
  }

  /** A switch: given, and not as `--name=false` or `--no-name`. */
  isOn(name: string): boolean {
    return this.text(name) === 'true';
  }

  text(name: string): string | undefined {
    return this.given.get(name)?.[0];
  }

  texts(name: string): readonly string[] {
    return this.given.get(name) ?? [];
  }

  integer(name: string): number | undefined {
    const raw = this.text(name);
    return raw === undefined ? undefined : Number(raw);
  }

  size(name: string): number | undefined {
    const raw = this.text(name);
    return raw === undefined ? undefined : parseBytes(raw);
  }

  /** The options of every job; absent ones stay absent. */
  get shared(): SharedJobOptions {
    const provider = providerChoices.find((choice) => choice === this.text('provider'));
    const threads = this.integer('threads');
    const maxMemory = this.size('max-memory');
    const seed = this.integer('seed');
    return {
      ...(provider === undefined ? {} : { provider }),
      ...(threads === undefined ? {} : { threads }),
      ...(maxMemory === undefined ? {} : { maxMemory }),
      ...(seed === undefined ? {} : { seed }),
    };
  }
}

/** An error of the caller: exit code 2. */
export function usageError(message: string, details?: Readonly<Record<string, unknown>>): LoomweightError {
  return new LoomweightError('invalid-argument', message, details);
}

/** Options that a command takes, shared ones last. */
export function optionsOf(command: CommandShape): readonly OptionSpec[] {
  return [...command.options, ...sharedOptions];
}

/**
 * Parses what follows the command's name. `--flag value` and `--flag=value` are the same; switches take no value but
 * allow `=true`, `=false` and the form `--no-flag`; `--` ends the flags. A flag may be repeated only where its
 * specification allows it. Errors: `invalid-argument`, naming the nearest flag where one is unknown.
 */
export function parseArguments(command: CommandShape, argv: readonly string[]): Arguments {
  const positionals: string[] = [];
  const given = new Map<string, string[]>();
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] as string;
    if (word === '--') {
      positionals.push(...argv.slice(index + 1));
      break;
    }
    if (word === '-h') given.set('help', ['true']);
    else if (!word.startsWith('-') || word === '-') positionals.push(word);
    else index += takeFlag(command, argv, index, given);
  }
  const parsed = new Arguments(positionals, given);
  if (!parsed.isOn('help')) checkComplete(command, parsed);
  return parsed;
}

/** Reads the flag at `index` and gives the number of words that its value took. */
function takeFlag(command: CommandShape, argv: readonly string[], index: number, given: Map<string, string[]>): number {
  const word = argv[index] as string;
  const [, typed = '', inline] = /^--?([^=]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
  const options = optionsOf(command);
  const negated = typed.startsWith('no-') && !options.some((option) => option.name === typed);
  const option = options.find((candidate) => candidate.name === (negated ? typed.slice(3) : typed));
  if (!word.startsWith('--') || !option || (negated && !isSwitch(option))) throw unknownFlag(command, word, typed);
  let taken = 0;
  let value = inline;
  if (isSwitch(option)) {
    if (value !== undefined && (negated || (value !== 'true' && value !== 'false')))
      throw usageError(`--${option.name} is a switch: give it alone, or as --${option.name}=true or --${option.name}=false.`, {
        flag: option.name,
      });
    value ??= negated ? 'false' : 'true';
  } else if (value === undefined) {
    value = argv[index + 1];
    // A word with two dashes is the next flag, not a value; `--flag=--word` says otherwise.
    if (value === undefined || value.startsWith('--'))
      throw usageError(`--${option.name} needs a value: ${describeValue(option)}.`, { flag: option.name });
    taken = 1;
  }
  checkValue(option, value);
  const values = given.get(option.name) ?? [];
  const repeatable = option.kind === 'text' && option.repeated === true;
  if (values.length > 0 && !repeatable)
    throw usageError(
      values[0] === value
        ? `--${option.name} is given twice. Give it once.`
        : `--${option.name} is given twice, as '${values[0]}' and '${value}'. Give it once.`,
      { flag: option.name },
    );
  given.set(option.name, [...values, value]);
  return taken;
}

function isSwitch(option: OptionSpec): boolean {
  return option.kind === 'switch' || (option.kind === 'parameter' && option.spec.kind === 'boolean');
}

function describeValue(option: OptionSpec): string {
  switch (option.kind) {
    case 'choice':
      return `one of ${option.choices.join(', ')}`;
    case 'integer':
      return `a whole number from ${option.min} to ${option.max}`;
    case 'number':
      return describeAllowed(option.spec);
    case 'size':
      return 'a size such as 3GB, 512MiB or a number of bytes';
    case 'text':
      return option.value;
    default:
      return 'see --help';
  }
}

function checkValue(option: OptionSpec, value: string): void {
  const allowed = isAllowed(option, value);
  if (allowed) return;
  const hint = option.kind === 'choice' ? suggestion(value, option.choices) : '';
  throw usageError(`--${option.name} must be ${describeValue(option)}, got '${value}'.${hint}`, { flag: option.name, value });
}

function isAllowed(option: OptionSpec, value: string): boolean {
  switch (option.kind) {
    case 'choice':
      return option.choices.includes(value);
    case 'integer':
      return /^\d+$/.test(value) && Number(value) >= option.min && Number(value) <= option.max;
    case 'number':
      return parseParam(option.spec, value) !== undefined;
    case 'size':
      return parseBytes(value) !== undefined;
    case 'text':
      return value !== '';
    default:
      return true;
  }
}

function unknownFlag(command: CommandShape, word: string, typed: string): LoomweightError {
  const shown = word.split('=')[0] as string;
  const names = optionsOf(command).map((option) => `--${option.name}`);
  return usageError(`'${command.name}' has no flag ${shown}.${suggestion(`--${typed}`, names)} See 'loomweight ${command.name} --help'.`, {
    flag: typed,
  });
}

function checkComplete(command: CommandShape, parsed: Arguments): void {
  const { positionals } = command;
  const usage = `loomweight ${[command.name, ...positionals.map((positional) => positional.name)].join(' ')}`;
  if (parsed.positionals.length < positionals.length) {
    const missing = positionals.slice(parsed.positionals.length).map((positional) => positional.name);
    throw usageError(`'${command.name}' needs ${missing.join(' and ')}: ${usage}. See 'loomweight ${command.name} --help'.`);
  }
  const extra = parsed.positionals[positionals.length];
  if (extra !== undefined)
    throw usageError(`'${command.name}' takes ${positionals.length === 0 ? 'no arguments' : usage}, but got '${extra}' as well.`);
  const empty = parsed.positionals.indexOf('');
  if (empty >= 0) throw usageError(`${positionals[empty]?.name ?? 'An argument'} is empty.`);
  for (const option of command.options) {
    if (!option.required || parsed.has(option.name)) continue;
    const choices = option.kind === 'choice' ? ` (${describeValue(option)})` : '';
    throw usageError(`'${command.name}' needs ${optionUsage(option)}${choices}. See 'loomweight ${command.name} --help'.`, {
      flag: option.name,
    });
  }
  if (parsed.isOn('quiet') && parsed.isOn('verbose')) throw usageError('--quiet and --verbose cannot be combined. Give one of them.');
}
