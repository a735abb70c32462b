import { terminalText } from '../common/shown';

/** Where a command writes and what it may assume about the other side. Tests pass their own. */
export interface Terminal {
  /** Absolute folder that relative paths start from. */
  readonly folder: string;
  /** Text for people or for scripts: the result only. */
  writeOut(text: string): void;
  /** Progress, notes and errors. */
  writeError(text: string): void;
  /** Replaces the line of the terminal behind stderr; only where `canRewrite`. */
  rewriteLine(text: string): void;
  /** True if stderr is a terminal whose line can be rewritten. */
  readonly canRewrite: boolean;
  /** Columns of the terminal behind stderr. */
  readonly columns: number;
  /** True if stdout may carry bold type. */
  readonly canStyle: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly json: boolean;
}

/** Output settings from the flags. */
export interface OutputChoices {
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly json: boolean;
}

/** The real terminal. Plain wherever it is not one, and under NO_COLOR or TERM=dumb. */
export function processTerminal(choices: OutputChoices): Terminal {
  const plain = (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
  return {
    folder: process.cwd(),
    // Whatever a command writes, a name from a file commands no terminal.
    writeOut: (text) => void process.stdout.write(terminalText(text)),
    writeError: (text) => void process.stderr.write(terminalText(text)),
    rewriteLine: (text) => void process.stderr.write(`\r\u001b[K${terminalText(text)}`),
    canRewrite: Boolean(process.stderr.isTTY) && process.env['TERM'] !== 'dumb',
    // Some terminals report 0.
    columns: process.stderr.columns || 80,
    canStyle: Boolean(process.stdout.isTTY) && !plain && !choices.json,
    ...choices,
  };
}

/**
 * Ends quietly when the reader of a pipe exits (`loomweight inspect m | head`): the remaining output has no reader.
 * Without this every such use would end in a stack trace.
 */
export function endQuietlyOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'EOF') process.exit(stream === process.stdout ? 0 : undefined);
      throw error;
    });
}

/** Resolves when everything written so far has left the process: pipes are asynchronous on some systems. */
export async function drainOutput(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => void stream.write('', () => resolve()))),
  );
}
