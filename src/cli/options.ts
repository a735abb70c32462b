import type { ParamSpec } from '../common/params';
import { providerChoices } from '../protocol/jobs';

interface OptionBase {
  /** Kebab-case, without dashes. */
  readonly name: string;
  /** One or more plain sentences. */
  readonly doc: string;
  readonly required?: boolean;
}

/** A flag of a command. Values stay text until `Arguments` reads them, which names the flag in every complaint. */
export type OptionSpec =
  | (OptionBase & { readonly kind: 'switch' })
  | (OptionBase & { readonly kind: 'text'; readonly value: string; readonly repeated?: boolean })
  | (OptionBase & { readonly kind: 'choice'; readonly value: string; readonly choices: readonly string[] })
  | (OptionBase & { readonly kind: 'integer'; readonly value: string; readonly min: number; readonly max: number })
  | (OptionBase & { readonly kind: 'size'; readonly value: string })
  /** A number that the specification allows. */
  | (OptionBase & { readonly kind: 'number'; readonly value: string; readonly spec: ParamSpec })
  /** A method's parameter; the chosen method defines the allowed values. */
  | (OptionBase & { readonly kind: 'parameter'; readonly spec: ParamSpec });

/** Names of the options that every command has. */
export const jsonOption: OptionSpec = {
  name: 'json',
  kind: 'switch',
  doc: 'Print one JSON document, and nothing else, to stdout. Failures are {"error": {"code", "message", "details"}}.',
};

/** What every command takes. */
export const sharedOptions: readonly OptionSpec[] = [
  {
    name: 'provider',
    kind: 'choice',
    value: 'NAME',
    choices: providerChoices,
    doc: 'Execution provider. With auto (the default), the report states which one was chosen and why.',
  },
  {
    name: 'threads',
    kind: 'integer',
    value: 'N',
    min: 1,
    max: 1024,
    doc: 'CPU threads, at most one per core. Default: all cores.',
  },
  {
    name: 'max-memory',
    kind: 'size',
    value: 'SIZE',
    doc: 'Memory limit of the job on the host, such as 3GB or 512MiB. Jobs that cannot stay below it are refused before they start.',
  },
  {
    name: 'seed',
    kind: 'integer',
    value: 'N',
    min: 0,
    max: 2 ** 32 - 1,
    doc: 'Random seed. On the same machine, the same seed gives the same bytes; training also needs the same number of threads. Default: 0.',
  },
  jsonOption,
  { name: 'quiet', kind: 'switch', doc: 'Show no progress or notes on stderr.' },
  { name: 'verbose', kind: 'switch', doc: 'Show more detail: logs, all rows of long tables, details of errors.' },
  { name: 'help', kind: 'switch', doc: 'Show this help.' },
];

/** `--group-size N|row|tensor`. */
export function optionUsage(option: OptionSpec): string {
  switch (option.kind) {
    case 'switch':
      return `--${option.name}`;
    case 'choice':
      return `--${option.name} ${option.choices.length > 1 && option.choices.length <= 4 ? option.choices.join('|') : option.value}`;
    case 'parameter':
      return parameterUsage(option);
    default:
      return `--${option.name} ${option.value}`;
  }
}

function parameterUsage({ name, spec }: OptionSpec & { readonly kind: 'parameter' }): string {
  switch (spec.kind) {
    case 'boolean':
      return `--${name}`;
    case 'choice':
      return `--${name} ${spec.choices.join('|')}`;
    case 'integer-or-word':
      return `--${name} N|${spec.words.join('|')}`;
    default:
      return `--${name} N`;
  }
}
