import { join } from 'node:path';
import { superviseRun } from '../protocol/client/runs/superviseRun';

/** Most characters of what the engine prints that are kept. */
const longestOutput = 1024 ** 2;

/**
 * Entry of the process that supervises one job of the editor: `supervisor.js RUN-FOLDER`. It is nobody's child in the sense of signals and sessions, so the job
 * outlives the window that started it; it ends with the job.
 */
function main(): void {
  const folder = process.argv[2];
  if (folder === undefined) {
    process.stderr.write('This process supervises jobs; the editor starts it. Run "loomweight --help".\n');
    process.exit(2);
  }
  const ending = new AbortController();
  // The system shuts down: the job keeps a checkpoint, if it has any. A closed terminal or a Ctrl-C elsewhere is not meant for a job of the editor.
  process.on('SIGTERM', () => ending.abort());
  for (const signal of ['SIGHUP', 'SIGINT'] as const) process.on(signal, () => undefined);
  let printed = 0;
  superviseRun(folder, {
    enginePath: join(__dirname, 'engine.js'),
    ending: ending.signal,
    onOutput: (line) => {
      printed += line.length + 1;
      if (printed < longestOutput) process.stderr.write(`${line}\n`);
    },
  }).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
}

main();
