import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runJobInOwnProcess } from '../protocol/client/runJobInOwnProcess';
import { LoomweightError } from '../protocol/errors';
import { isRecipe } from '../protocol/jobs';
import type { RunJob } from './command';
import { ProgressLine } from './progressLine';
import { withStopSignals } from './stopSignals';
import { TextStream } from './textStream';

/** `dist/engine.js`, beside the command line. */
function enginePath(): string {
  const path = join(__dirname, 'engine.js');
  if (!existsSync(path))
    throw new LoomweightError('internal', `The engine is missing: ${path}. Build the project (npm run build) or install it again.`, {
      path,
    });
  return path;
}

/**
 * Runs a job in its own process with progress on stderr. The first Ctrl-C asks it to stop (it is gone within 2.5 s), the
 * second ends it now. Errors: those of the job; `cancelled`.
 */
export const runJob: RunJob = async (spec, terminal, { streams = false, ...options } = {}) => {
  const line = new ProgressLine(terminal);
  const stream = streams && !terminal.json ? new TextStream(terminal) : undefined;
  let job: number | undefined;
  const run = (signal: AbortSignal) =>
    runJobInOwnProcess(spec, {
      enginePath: enginePath(),
      signal,
      ...options,
      onStart: (pid) => {
        job = pid;
      },
      onProgress: (progress) => {
        if (signal.aborted) return;
        if (stream && progress.text !== undefined) {
          line.clear();
          stream.show(progress.text);
        } else line.update(progress);
      },
      onLog: ({ level, message }) => {
        if (terminal.quiet || (level === 'info' && !terminal.verbose && !isRecipe(spec))) return;
        line.note(level === 'info' || level === 'notice' ? message : `${level}: ${message}`);
      },
      onOutput: (text) => {
        if (terminal.verbose) line.note(text);
      },
    });
  try {
    return await withStopSignals(run, {
      onFirst: () => {
        if (!terminal.quiet) line.note('Stopping. Press Ctrl-C again to quit now.');
      },
      // The supervisor of the job removes what it left.
      onAgain: () => {
        if (job !== undefined) endProcess(job);
      },
    });
  } finally {
    line.clear();
    stream?.end();
  }
};

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}
