import { appendFile, access, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError, toErrorData } from '../../errors';
import type { JobProgress } from '../../jobs';
import type { JobLine } from '../../panels/job';
import { runJobInOwnProcess } from '../runJobInOwnProcess';
import { cancelling } from './cancelling';
import { markOf } from './processMark';
import { readRunFile, replaceFile, runFiles, runFormat } from './runFiles';
import type { RunEnd, RunProcess, RunRecord } from './runFiles';

/** How a run is supervised. */
export interface SuperviseOptions {
  /** Path of `dist/engine.js`. */
  readonly enginePath: string;
  /** Aborted when the system tells this process to end: the run is then interrupted. */
  readonly ending: AbortSignal;
  /** Lines that the engine prints. */
  readonly onOutput: (line: string) => void;
}

/** A window looks at a run five times a second: more snapshots would not be seen. */
const progressIntervalMs = 200;
const cancelIntervalMs = 100;
const heartbeatMs = 2000;
/** Time that a job has for ending itself; with what the rest takes, its process is gone within 2.5 s of the click on Cancel. */
const cancelGraceMs = 1500;
/** Most bytes of the log: after them only warnings and errors are kept, after twice as many nothing. */
const longestLog = 1024 ** 2;

/**
 * Runs the job of a run's folder in an engine process and keeps the folder's files: progress, messages, how it ended. Nobody needs to watch. Ends the job
 * when somebody asks for it in the folder, when the folder is removed (nobody could ever find the job again), or when this process is told to end.
 * Errors: `invalid-argument` for a folder without a run of this format.
 */
export async function superviseRun(folder: string, options: SuperviseOptions): Promise<void> {
  const record = await readRunFile<RunRecord>(folder, runFiles.record);
  if (record?.format !== runFormat)
    throw new LoomweightError('invalid-argument', `${folder} contains no run of format ${runFormat}.`, { path: folder });
  const controller = new AbortController();
  const log = new RunLog(folder, Date.parse(record.startedAt));
  const progress = new LatestWriter(folder);
  let state: RunProcess = { supervisor: markOf(process.pid), outputs: [] };
  const states = new Queue();
  const keep = (change: Partial<RunProcess>) => {
    state = { ...state, ...change };
    const next = state;
    return states.add(() => replaceFile(folder, runFiles.process, next));
  };
  await keep({});
  const timers = [
    setInterval(() => {
      void access(join(folder, runFiles.cancel)).then(
        () => controller.abort(),
        () => undefined,
      );
    }, cancelIntervalMs),
    setInterval(() => {
      const time = new Date();
      void utimes(join(folder, runFiles.process), time, time).catch((error: unknown) => {
        if ((error as { code?: string }).code === 'ENOENT' && states.isIdle) controller.abort();
      });
    }, heartbeatMs),
  ];
  const onEnding = () => controller.abort();
  options.ending.addEventListener('abort', onEnding, { once: true });
  let last: JobProgress | undefined;
  controller.signal.addEventListener('abort', () => progress.write(cancelling(last)), { once: true });
  const end = (status: RunEnd['status'], more: Partial<RunEnd>): RunEnd => ({ status, endedAt: new Date().toISOString(), ...more });
  let outcome: RunEnd;
  try {
    const report = await runJobInOwnProcess(record.spec, {
      enginePath: options.enginePath,
      lowPriority: true,
      cancelGraceMs,
      signal: controller.signal,
      onOutput: options.onOutput,
      onStart: (pid) => keep({ engine: markOf(pid) }),
      onOutputPath: (output) => void keep({ outputs: [...state.outputs, output] }),
      onProgress: (snapshot) => {
        // What was on its way when the user cancelled is of no interest.
        if (controller.signal.aborted) return;
        if (snapshot.phase !== last?.phase) log.add('info', snapshot.phase);
        last = snapshot;
        progress.write(snapshot);
      },
      onLog: ({ level, message }) => log.add(level, message),
    });
    outcome = end('done', { report });
  } catch (error) {
    const data = toErrorData(error);
    if (data.code !== 'cancelled') outcome = end('failed', { error: data });
    else outcome = end(options.ending.aborted ? 'interrupted' : 'cancelled', { error: data });
  } finally {
    for (const timer of timers) clearInterval(timer);
    options.ending.removeEventListener('abort', onEnding);
  }
  await Promise.all([log.written(), progress.written(), states.add(async () => undefined)]);
  // A finished job has everything in its report; the others keep their curves.
  if (outcome.status === 'done') await rm(join(folder, runFiles.progress), { force: true });
  await replaceFile(folder, runFiles.end, outcome);
}

/** One write after the other; a write that fails is left out. */
class Queue {
  private tail: Promise<void> = Promise.resolve();
  private waiting = 0;

  get isIdle(): boolean {
    return this.waiting === 0;
  }

  add(write: () => Promise<void>): Promise<void> {
    this.waiting += 1;
    // What was removed, or a full disk, must not end the job: the next write may succeed, and the job itself reports a full disk.
    this.tail = this.tail.then(write).then(
      () => void (this.waiting -= 1),
      () => void (this.waiting -= 1),
    );
    return this.tail;
  }
}

/** Writes the newest of many values, at most five times a second. */
class LatestWriter {
  private waiting: JobProgress | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly queue = new Queue();

  constructor(private readonly folder: string) {}

  write(value: JobProgress): void {
    this.waiting = value;
    this.timer ??= setTimeout(() => this.flush(), progressIntervalMs);
  }

  async written(): Promise<void> {
    this.flush();
    await this.queue.add(async () => undefined);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const value = this.waiting;
    this.waiting = undefined;
    if (value) void this.queue.add(() => replaceFile(this.folder, runFiles.progress, value));
  }
}

/** The messages of a run, with a limit on their size. */
class RunLog {
  private bytes = 0;
  private readonly queue = new Queue();

  constructor(
    private readonly folder: string,
    private readonly started: number,
  ) {}

  add(level: JobLine['level'], text: string): void {
    const limit = level === 'warning' || level === 'error' ? 2 * longestLog : longestLog;
    if (this.bytes > limit) return;
    const line: JobLine = { seconds: Math.max(0, (Date.now() - this.started) / 1000), level, text: text.slice(0, 10_000) };
    const piece = `${JSON.stringify(line)}\n`;
    this.bytes += Buffer.byteLength(piece);
    void this.queue.add(() => appendFile(join(this.folder, runFiles.log), piece, { mode: 0o600 }));
  }

  written(): Promise<void> {
    return this.queue.add(async () => undefined);
  }
}
