import type { JobSpec } from '../protocol/jobs';
import type { JobReport } from '../protocol/report';
import type { Arguments } from './arguments';
import type { CommandShape } from './commandShape';
import type { Terminal } from './terminal';

/** How a command runs its job. */
export interface RunJobOptions {
  /** Limit in bytes for the whole process, where it is not the specification's own. */
  readonly maxMemory?: number;
  /** The text of the job's progress goes to stdout as it comes, and a line break behind it. Without effect under --json. */
  readonly streams?: boolean;
}

/** Runs a job to its end with progress on the terminal. */
export type RunJob = (spec: JobSpec, terminal: Terminal, options?: RunJobOptions) => Promise<JobReport>;

/** What a command may use while it runs. */
export interface CommandContext {
  readonly arguments: Arguments;
  readonly terminal: Terminal;
  readonly runJob: RunJob;
}

/**
 * One command of `loomweight`. `run` returns the report, which `--json` prints unchanged; `text` formats it for people.
 * Help, parsing and docs/command-line.md come from the same definition.
 */
export interface Command<Report = unknown> extends CommandShape {
  /** One sentence. */
  readonly summary: string;
  /** More sentences for the command's own help. */
  readonly details?: readonly string[];
  /** Examples for the help; each line works as written. */
  readonly examples: readonly string[];
  run(context: CommandContext): Promise<Report>;
  /** Lines for stdout. */
  text(report: Report, context: CommandContext): string;
}

/** Ties the type of a command's report to its text; lists hold commands with the type forgotten. */
export function defineCommand<Report>(command: Command<Report>): Command {
  return command as Command;
}
