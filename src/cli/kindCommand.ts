import { resolve } from 'node:path';
import { printable } from '../common/shown';
import { checkFields, methodOf, specOf } from '../engine/jobs/stepKind';
import type { CommandWords, StepKind } from '../engine/jobs/stepKind';
import { flagName } from '../protocol/fields';
import type { FieldWords } from '../protocol/fields';
import type { JobReport } from '../protocol/report';
import { usageError } from './arguments';
import type { Arguments } from './arguments';
import { defineCommand } from './command';
import type { Command } from './command';
import { optionsOfFields, positionalsOf } from './fieldOptions';
import { optionUsage } from './options';
import { readFields } from './readFields';

/** The command of a kind: arguments and flags from its fields, the job from its specification, the text from its report. */
export function kindCommand(kind: StepKind, command: CommandWords): Command {
  const name = command.name ?? kind.id;
  const methods = kind.methods?.() ?? [];
  return defineCommand<JobReport>({
    name,
    summary: command.summary,
    ...(command.details ? { details: command.details } : {}),
    examples: command.examples,
    positionals: positionalsOf(kind.fields),
    options: optionsOfFields(kind.fields, methods),
    run: async ({ arguments: given, terminal, runJob }) => {
      const words = commandWords(kind, name);
      const named = given.text('method');
      const method = methodOf(kind, named === undefined ? {} : { method: named });
      const values = readFields(kind.fields, given, { folder: terminal.folder, methods, method });
      const [problem] = checkFields(kind, values, words);
      if (problem) throw usageError(problem.message, problem.key === undefined ? {} : { flag: problem.key });
      const say = (text: string) => {
        if (!terminal.quiet) terminal.writeError(`${printable(text)}\n`);
      };
      return runJob({ ...specOf(kind, values, { words, say }), ...given.shared }, terminal, { streams: command.streams === true });
    },
    text: (report, { arguments: given, terminal }) =>
      command.streams === true ? '' : kind.text(report, { verbose: terminal.verbose, ...outOf(kind, given, terminal.folder) }),
  });
}

/** The folder that the command was told to write. */
function outOf(kind: StepKind, given: Arguments, folder: string): { readonly out?: string } {
  const field = kind.fields.find(({ type }) => type.kind === 'output');
  const text = field && given.text(flagName(field));
  return text === undefined ? {} : { out: resolve(folder, text) };
}

/** Names of flags in error messages. */
function commandWords(kind: StepKind, name: string): FieldWords {
  const nameOf = (key: string): string => {
    const field = kind.fields.find((candidate) => candidate.key === key);
    return field?.flag?.positional ?? `--${flagName(field ?? { key })}`;
  };
  const options = optionsOfFields(kind.fields, kind.methods?.() ?? []);
  const usageOf = (key: string): string => {
    const option = options.find((candidate) => `--${candidate.name}` === nameOf(key));
    return option ? optionUsage(option) : nameOf(key);
  };
  return {
    name: nameOf,
    lacks: (keys) => `'${name}' needs ${keys.map(usageOf).join(' or ')}. See 'loomweight ${name} --help'.`,
    absent: 'which is not given',
    present: (key) => `but ${nameOf(key)} was given`,
  };
}
