import { formatBytes } from '../../common/units';
import type { EngineEvents } from '../engine';
import { LoomweightError, cancelledError } from '../errors';
import type { JobProgress, JobSpec } from '../jobs';
import type { JobReport } from '../report';
import { EngineProcess } from './engineProcess';
import type { EngineProcessOptions } from './engineProcess';
import type { OutputToCome } from './outputToCome';
import { keptOfEnded, nativeAbort } from './nativeAbort';
import { removeUnfinished } from './removeUnfinished';
import { memoryMargin, residentSize, sizeIntervalMs } from './residentSize';

/** How a job is started and watched. */
export interface OwnProcessOptions extends EngineProcessOptions {
  /** Host memory limit in bytes; the job's own `maxMemory` where it is absent. */
  readonly maxMemory?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: JobProgress) => void;
  readonly onLog?: (entry: EngineEvents['log']) => void;
  /** Told the process id once it runs. */
  readonly onStart?: (pid: number) => void;
  /** Told each output that the job is about to write. */
  readonly onOutputPath?: (output: OutputToCome) => void;
  /** Time between the cancel request and the end by force. Default 2 s. */
  readonly cancelGraceMs?: number;
}

const defaultCancelGraceMs = 2000;

/**
 * Runs a job in its own process and watches it. Cancelling asks first and ends the process after 2 s; a process above its
 * memory limit by 10 % is ended with `insufficient-memory`. However the process ends, nothing unfinished is left on disk, and
 * the promise settles only after the process is gone.
 */
export async function runJobInOwnProcess(spec: JobSpec, options: OwnProcessOptions): Promise<JobReport> {
  const { signal } = options;
  if (signal?.aborted) throw cancelledError();
  const engine = await EngineProcess.start(options).catch((error: unknown) => {
    // Ctrl-C reaches the whole process group, also a process that is not yet far enough to ignore it.
    throw signal?.aborted ? cancelledError() : error;
  });
  const pid = engine.pid as number;
  const outputs: OutputToCome[] = [];
  const watch = watchMemory(engine, options.maxMemory ?? spec.maxMemory);
  let killTimer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    killTimer = setTimeout(() => void engine.kill(), options.cancelGraceMs ?? defaultCancelGraceMs);
  };
  let finished = false;
  try {
    options.onStart?.(pid);
    engine.onOutputPath((output) => {
      outputs.push(output);
      options.onOutputPath?.(output);
    });
    if (options.onProgress) engine.onProgress(options.onProgress);
    if (options.onLog) engine.onLog(options.onLog);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) throw cancelledError();
    const report = await engine.call('runJob', { spec }, signal ? { signal } : {});
    finished = true;
    return report;
  } catch (error) {
    throw watch.exceeded() ?? (signal?.aborted ? cancelledError() : (nativeAbort(error, spec) ?? error));
  } finally {
    signal?.removeEventListener('abort', onAbort);
    clearTimeout(killTimer);
    watch.stop();
    // A job that has answered has nothing left to do; one that failed must not keep running unnoticed.
    await (finished ? engine.stop() : engine.kill());
    for (const output of outputs) await removeUnfinished(output, pid);
  }
}

interface MemoryWatch {
  /** The error to report where the process was ended for its size. */
  exceeded(): LoomweightError | undefined;
  stop(): void;
}

function watchMemory(engine: EngineProcess, limit: number | undefined): MemoryWatch {
  if (limit === undefined) return { exceeded: () => undefined, stop: () => undefined };
  let error: LoomweightError | undefined;
  let asking = false;
  const timer = setInterval(() => {
    if (asking || engine.pid === undefined) return;
    asking = true;
    void residentSize(engine.pid).then((bytes) => {
      asking = false;
      if (bytes === undefined || bytes <= limit * memoryMargin || error) return;
      error = new LoomweightError(
        'insufficient-memory',
        `The job needs more memory than its limit: ${formatBytes(bytes)} in use, limit ${formatBytes(limit)} (--max-memory) plus 10 %. ` +
          `It was stopped. ${keptOfEnded} Raise the limit, or use a smaller window, batch or model.`,
        { residentBytes: bytes, limitBytes: limit },
      );
      void engine.kill();
    });
  }, sizeIntervalMs);
  return { exceeded: () => error, stop: () => clearInterval(timer) };
}
