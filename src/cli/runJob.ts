import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runJobInOwnProcess } from '../protocol/client/runJobInOwnProcess';
import { LoomweightError } from '../protocol/errors';
import type { JobSpec, ReportOf } from '../protocol/jobs';
import { ProgressLine } from './progressLine';
import type { Terminal } from './terminal';

/** What Ctrl-C, a closed terminal and `kill` send. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `dist/engine.js`, which lies beside the command line. */
function enginePath(): string {
  const path = join(__dirname, 'engine.js');
  if (!existsSync(path))
    throw new LoomweightError('internal', `The engine is missing: ${path}. Build the project (npm run build) or install it again.`, {
      path,
    });
  return path;
}

/**
 * Runs a job in a process of its own with progress on stderr. The first Ctrl-C asks it to stop (it is gone within 2.5 s), the
 * second ends it at once. Errors: those of the job; `cancelled`.
 */
export async function runJob<Spec extends JobSpec>(
  spec: Spec,
  terminal: Terminal,
  options: { readonly maxMemory?: number } = {},
): Promise<ReportOf<Spec>> {
  const controller = new AbortController();
  const line = new ProgressLine(terminal);
  let job: number | undefined;
  const onSignal = () => {
    if (controller.signal.aborted) {
      // Said twice: no more patience. Whoever supervises the job removes what it left.
      if (job !== undefined) endProcess(job);
      return;
    }
    if (!terminal.quiet) line.note('Stopping ... (again to end at once)');
    controller.abort();
  };
  for (const signal of stopSignals) process.on(signal, onSignal);
  try {
    return await runJobInOwnProcess(spec, {
      enginePath: enginePath(),
      signal: controller.signal,
      ...(options.maxMemory === undefined ? {} : { maxMemory: options.maxMemory }),
      onStart: (pid) => {
        job = pid;
      },
      onProgress: (progress) => {
        if (!controller.signal.aborted) line.update(progress);
      },
      onLog: ({ level, message }) => {
        if (!terminal.quiet && (level !== 'info' || terminal.verbose)) line.note(level === 'info' ? message : `${level}: ${message}`);
      },
      onOutput: (text) => {
        if (terminal.verbose) line.note(text);
      },
    });
  } finally {
    for (const signal of stopSignals) process.removeListener(signal, onSignal);
    line.clear();
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}
