import { describeParam } from '../common/params';
import { version } from '../engine/version';
import type { Command } from './command';
import type { OptionSpec } from './options';
import { optionUsage, sharedOptions } from './options';

const lineWidth = 100;

/** Breaks text into lines of at most `width` columns; single longer words stay whole. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Two columns: a term and its text, the text wrapped. Terms that are too long get a line of their own. */
function definitions(entries: readonly (readonly [term: string, text: string])[]): string {
  const longest = Math.min(26, Math.max(...entries.map(([term]) => term.length)));
  const indent = ' '.repeat(longest + 4);
  return entries
    .map(([term, text]) => {
      const [first = '', ...rest] = wrap(text, lineWidth - indent.length);
      const start = term.length > longest ? `  ${term}\n${indent}${first}` : `  ${term.padEnd(longest)}  ${first}`;
      return [start.trimEnd(), ...rest.map((line) => indent + line)].map((line) => `${line}\n`).join('');
    })
    .join('');
}

/** An option's documentation with what it allows and its default. */
export function optionText(option: OptionSpec): string {
  if (option.kind === 'choice' && option.choices.length > 4) return `${option.doc} One of ${option.choices.join(', ')}.`;
  if (option.kind !== 'parameter') return option.doc;
  const { spec } = option;
  if (spec.kind === 'boolean') return `${spec.doc} Default: ${spec.default ? 'on' : 'off'}.`;
  return `${describeParam(spec)} Default: ${spec.default}.`;
}

/** `loomweight compare A B [options]`, required flags written out. */
export function usageLine(command: Command): string {
  const required = command.options.filter((option) => option.required).map(optionUsage);
  return ['loomweight', command.name, ...command.positionals.map(({ name }) => name), ...required, '[options]'].join(' ');
}

/** `loomweight --help`. */
export function overviewHelp(commands: readonly Command[]): string {
  return (
    `Loomweight ${version}: makes trained models smaller on this machine and verifies the result.\n\n` +
    `Usage: loomweight COMMAND [arguments] [options]\n\nCommands:\n` +
    definitions(commands.map(({ name, summary }) => [name, summary])) +
    `\nOptions of every command:\n${definitions(sharedOptions.map((option) => [optionUsage(option), optionText(option)]))}` +
    `\nA model is a file (.safetensors, .onnx, .gguf, .npy), a Hugging Face directory or any folder that\nLoomweight wrote.\n` +
    `Exit codes: 0 done, 1 internal error, 2 bad arguments, 3 unsupported or malformed input,\n` +
    `4 not enough memory or disk, 5 verification failed, 130 cancelled.\n` +
    `\nHelp for a command: loomweight COMMAND --help\n`
  );
}

/** `loomweight compress --help`. */
export function commandHelp(command: Command): string {
  const details = (command.details ?? []).flatMap((text) => ['', ...wrap(text, lineWidth)]).map((line) => `${line}\n`);
  const summary = wrap(command.summary, lineWidth).map((line) => `${line}\n`);
  const sections: string[] = [...summary, ...details, `\nUsage: ${usageLine(command)}\n`];
  if (command.positionals.length > 0)
    sections.push(`\nArguments:\n${definitions(command.positionals.map(({ name, doc }) => [name, doc]))}`);
  if (command.options.length > 0)
    sections.push(`\nOptions:\n${definitions(command.options.map((option) => [optionUsage(option), optionText(option)]))}`);
  sections.push(`\nOptions of every command:\n${definitions(sharedOptions.map((option) => [optionUsage(option), optionText(option)]))}`);
  sections.push(`\nExamples:\n${command.examples.map((line) => `  ${line}\n`).join('')}`);
  return sections.join('');
}
