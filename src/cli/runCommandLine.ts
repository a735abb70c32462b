import { suggestion } from '../common/nearest';
import { jsonText, printable } from '../common/shown';
import { stepKinds } from '../engine/jobs/index';
import type { StepKind } from '../engine/jobs/stepKind';
import { version } from '../engine/version';
import { exitCodes, toErrorData, toLoomweightError } from '../protocol/errors';
import { Arguments, parseArguments, usageError } from './arguments';
import type { Command, RunJob } from './command';
import { commandsOf } from './commands/index';
import { commandHelp, overviewHelp } from './help';
import { runJob } from './runJob';
import { processTerminal } from './terminal';
import type { OutputChoices, Terminal } from './terminal';

/** Commands that are planned: naming one is not a typing error, so no other command is suggested. */
const laterCommands = ['assess', 'splice', 'merge', 'doctor'];

/** What a command line works with; the defaults are those of the program. */
export interface CommandLineParts {
  /** Kinds of steps: each may have a command. */
  readonly kinds?: readonly StepKind[];
  readonly terminal?: (choices: OutputChoices) => Terminal;
  readonly runJob?: RunJob;
}

/** Runs one command line and gives the exit code. */
export async function runCommandLine(argv: readonly string[], parts: CommandLineParts = {}): Promise<number> {
  const commands = commandsOf(parts.kinds ?? stepKinds);
  // Known before parsing, so that parsing errors are also printed in the requested form.
  const words = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  const choices: OutputChoices = {
    json: words.includes('--json') || words.includes('--json=true'),
    quiet: words.includes('--quiet') || words.includes('--quiet=true'),
    verbose: words.includes('--verbose') || words.includes('--verbose=true'),
  };
  const terminal = (parts.terminal ?? processTerminal)(choices);
  try {
    const [first, ...rest] = argv;
    if (first === undefined) {
      terminal.writeError(overviewHelp(commands));
      return exitCodes['invalid-argument'];
    }
    if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
      terminal.writeOut(overviewHelp(commands));
      return 0;
    }
    if (first === '--version' || first === '-V') {
      terminal.writeOut(`${choices.json ? jsonText({ version }) : version}\n`);
      return 0;
    }
    const command = findCommand(commands, first === 'help' ? (rest[0] as string) : first);
    const given = first === 'help' ? new Arguments([], new Map([['help', ['true']]])) : parseArguments(command, rest);
    if (given.isOn('help')) {
      terminal.writeOut(commandHelp(command));
      return 0;
    }
    const context = { arguments: given, terminal, runJob: parts.runJob ?? runJob };
    const report = await command.run(context);
    terminal.writeOut(choices.json ? `${jsonText(report, 2)}\n` : command.text(report, context));
    return 0;
  } catch (thrown) {
    const error = toLoomweightError(thrown);
    const data = toErrorData(error);
    if (choices.json) terminal.writeOut(`${jsonText({ error: data }, 2)}\n`);
    terminal.writeError(`loomweight: ${printable(data.message)}\n`);
    if (choices.verbose) {
      if (data.details !== undefined) terminal.writeError(`${jsonText(data.details, 2)}\n`);
      if (exitCodes[data.code] === exitCodes.internal && error.stack !== undefined) terminal.writeError(`${error.stack}\n`);
    }
    return exitCodes[data.code];
  }
}

function findCommand(commands: readonly Command[], name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found) return found;
  if (laterCommands.includes(name)) throw usageError(`The command '${name}' is not part of this version (${version}).`, { command: name });
  const names = commands.map((command) => command.name);
  const shown = name.slice(0, 60);
  if (name.startsWith('-'))
    throw usageError(`The command comes first, then its flags; got '${shown}'. Commands: ${names.join(', ')}. See 'loomweight --help'.`);
  throw usageError(`Unknown command '${shown}'.${suggestion(name, names) || ` Commands: ${names.join(', ')}.`} See 'loomweight --help'.`, {
    command: shown,
  });
}
