import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LoomweightError, cancelledError, fromErrorData, throwIfCancelled } from '../../../../protocol/errors';
import type { HostTask, TaskMessage, WorkerMessage } from './hostTask';
import { SharedScratch } from './sharedMemory';
import { TaskBatch } from './taskBatch';

/** Options for the threads of a job. */
export interface HostThreadsOptions {
  /** Script of a worker thread; default: `worker.js` next to the running script, as built. */
  readonly workerFile?: string;
  /** Called once if the job has to use one thread although more were requested. */
  readonly note?: (text: string) => void;
}

/** One piece of a batch, waiting or running. */
interface Piece {
  readonly batch: TaskBatch<unknown>;
  readonly index: number;
  readonly task: HostTask<never, unknown>;
  readonly input: unknown;
}

/**
 * Threads for loops over typed arrays: worker threads that run `HostTask`s, for one job. They start with the first work (or `start`), keep
 * the process alive only while work is pending, and end with `close`. Large arrays are passed as views of shared memory (`sharedFloat32`,
 * `sharedBytes`), without copies. If no worker starts, or one thread was requested, the calling thread does the work in the same pieces, so
 * that results never depend on the number of threads.
 */
export class HostThreads {
  /** Shared memory that is reused between calls. */
  readonly scratch = new SharedScratch();
  private readonly idle = new Set<Worker>();
  /** Workers that are not ready yet. */
  private readonly starting = new Set<Worker>();
  private readonly busy = new Map<Worker, Piece>();
  private queue: Piece[] = [];
  private started = false;
  private closed = false;

  /** `asked`: number of threads that may work at the same time, as returned by `chooseThreads`. */
  constructor(
    private readonly asked: number,
    private readonly options: HostThreadsOptions = {},
  ) {}

  /** True if `run` passes work to other threads, so that its arrays must be in shared memory. False if the calling thread does the work. */
  get parallel(): boolean {
    return this.started ? this.workers > 0 : this.asked > 1;
  }

  /** Starts the workers, which takes about 30 ms in parallel to other work. Otherwise the first `run` starts them. */
  start(): void {
    if (this.started || this.closed) return;
    this.started = true;
    if (this.asked < 2) return;
    const file = this.options.workerFile ?? join(__dirname, 'worker.js');
    if (!existsSync(file)) return this.noteOneThread(`${file} is missing`);
    for (let thread = 0; thread < this.asked; thread += 1) {
      try {
        this.watch(new Worker(file, { name: `loomweight-${thread}`, execArgv: [], argv: [] }));
      } catch (error) {
        if (this.workers === 0) this.noteOneThread((error as Error).message);
        return;
      }
    }
  }

  /**
   * Runs a task once per input, as many at a time as there are threads; returns the outputs in the order of the inputs. If runs fail, the
   * error is that of the first failing input, whichever thread failed first. Errors: those of the task; `cancelled`; `internal` for a
   * thread that ended.
   */
  async run<Input, Output>(task: HostTask<Input, Output>, inputs: readonly Input[], signal?: AbortSignal): Promise<readonly Output[]> {
    throwIfCancelled(signal);
    if (this.closed) throw cancelledError();
    this.start();
    if (this.workers === 0) return this.runHere(task, inputs, signal);
    const batch = new TaskBatch<Output>(inputs.length);
    const cancel = () => this.drop(batch as TaskBatch<unknown>, cancelledError());
    signal?.addEventListener('abort', cancel, { once: true });
    inputs.forEach((input, index) =>
      this.queue.push({ batch: batch as TaskBatch<unknown>, index, task: task as HostTask<never, unknown>, input }),
    );
    this.dispatch();
    try {
      return await batch.outputs;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Like `run`, but always on the calling thread: for work too small to distribute, and for arrays outside shared memory. */
  async runHere<Input, Output>(task: HostTask<Input, Output>, inputs: readonly Input[], signal?: AbortSignal): Promise<readonly Output[]> {
    const outputs: Output[] = [];
    for (const input of inputs) {
      if (outputs.length > 0) await breath();
      throwIfCancelled(signal);
      if (this.closed) throw cancelledError();
      outputs.push(task.run(input));
    }
    return outputs;
  }

  /** Ends the workers immediately; pending work is rejected as cancelled. */
  async close(): Promise<void> {
    this.closed = true;
    const pending = new Set([...this.queue, ...this.busy.values()].map(({ batch }) => batch));
    for (const batch of pending) this.drop(batch, cancelledError());
    const workers = [...this.idle, ...this.starting, ...this.busy.keys()];
    this.idle.clear();
    this.starting.clear();
    this.busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  private get workers(): number {
    return this.idle.size + this.starting.size + this.busy.size;
  }

  private watch(worker: Worker): void {
    this.starting.add(worker);
    worker.unref();
    worker.on('message', (message: WorkerMessage) => this.onMessage(worker, message));
    worker.on('messageerror', (error) => this.onEnd(worker, error.message));
    worker.on('error', (error) => this.onEnd(worker, error.message));
    worker.on('exit', () => this.onEnd(worker, 'it exited'));
  }

  private onMessage(worker: Worker, message: WorkerMessage): void {
    if (this.closed) return;
    const piece = this.busy.get(worker);
    this.busy.delete(worker);
    this.starting.delete(worker);
    this.idle.add(worker);
    if (message.kind === 'done') piece?.batch.done(piece.index, message.output);
    else if (message.kind === 'failed' && piece !== undefined) this.fail(piece, fromErrorData(message.error));
    this.dispatch();
  }

  /** A worker that ends before it is ready never counted; one that ends later fails the piece it was working on. */
  private onEnd(worker: Worker, reason: string): void {
    if (this.closed) return;
    const piece = this.busy.get(worker);
    // An error and the exit that follows it both arrive here.
    const wasKnown = [this.idle.delete(worker), this.starting.delete(worker), this.busy.delete(worker)].includes(true);
    if (!wasKnown) return;
    if (piece !== undefined)
      this.fail(piece, new LoomweightError('internal', `A worker thread ended unexpectedly: ${reason}. Run the job again.`, { reason }));
    if (this.workers > 0) return this.dispatch();
    this.noteOneThread(reason);
    void this.finishHere();
  }

  private fail(piece: Piece, error: LoomweightError): void {
    piece.batch.failed(piece.index, error);
    // Later inputs no longer matter; earlier ones may still have the error to report.
    this.queue = this.queue.filter(({ batch, index }) => batch !== piece.batch || index < piece.index);
  }

  private drop(batch: TaskBatch<unknown>, error: LoomweightError): void {
    this.queue = this.queue.filter((piece) => piece.batch !== batch);
    batch.abandon(error);
  }

  private dispatch(): void {
    for (const worker of this.idle) {
      const piece = this.queue.shift();
      if (piece === undefined) break;
      this.idle.delete(worker);
      this.busy.set(worker, piece);
      worker.postMessage({ task: piece.task.name, input: piece.input } satisfies TaskMessage);
    }
    // The workers keep the process alive exactly while work is pending.
    const pending = this.queue.length > 0 || this.busy.size > 0;
    for (const worker of [...this.idle, ...this.starting, ...this.busy.keys()])
      if (pending) worker.ref();
      else worker.unref();
  }

  /** Work that was queued for workers that have all ended. */
  private async finishHere(): Promise<void> {
    for (let piece = this.queue.shift(); piece !== undefined && !this.closed; piece = this.queue.shift()) {
      await breath();
      try {
        piece.batch.done(piece.index, piece.task.run(piece.input as never));
      } catch (error) {
        piece.batch.failed(piece.index, error);
      }
    }
  }

  private noteOneThread(reason: string): void {
    this.options.note?.(`Host loops used one thread, because no worker thread could be started: ${reason}.`);
  }
}

/** Lets messages in, above all cancellation. */
function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
