import type { Disposable } from '../../common/disposables';
import type { EngineApi, EngineEvents } from '../../protocol/engine';
import { LoomweightError } from '../../protocol/errors';
import type { JobProgress, JobSpec } from '../../protocol/jobs';
import type { JobReport } from '../../protocol/report';

export type EngineMethod = keyof EngineApi;
export type EngineRequest<Method extends EngineMethod> = Parameters<EngineApi[Method]>[0];
export type EngineResult<Method extends EngineMethod> = Awaited<ReturnType<EngineApi[Method]>>;

/** How a job is followed and cancelled. */
export interface JobOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: JobProgress) => void;
  /** Messages of the job for the user. */
  readonly onLog?: (line: EngineEvents['log']) => void;
}

/** The processes behind the editor: a port, so that the editor's own parts can be tested without one. */
export interface EngineProcesses {
  /** Asks the resident process, which the first question starts. */
  call<Method extends EngineMethod>(method: Method, request: EngineRequest<Method>, signal?: AbortSignal): Promise<EngineResult<Method>>;
  /** Runs a job in its own process. */
  runJob(spec: JobSpec, options: JobOptions): Promise<JobReport>;
  /** Ends the resident process; the next question starts one. Resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Owns the engine processes: one resident for quick questions, started with the first of them, and one for each job.
 * Nothing of it is loaded before the first question.
 */
export class EngineHost implements Disposable {
  private processes: Promise<EngineProcesses> | undefined;
  private readonly jobs = new Set<AbortController>();
  private closed = false;

  constructor(private readonly load: () => Promise<EngineProcesses>) {}

  /** Asks the resident engine. A crash rejects with `engine-crashed`; the next question starts a new process. */
  async ask<Method extends EngineMethod>(
    method: Method,
    request: EngineRequest<Method>,
    signal?: AbortSignal,
  ): Promise<EngineResult<Method>> {
    return (await this.loaded()).call(method, request, signal);
  }

  /** Runs a job in its own process, which ends with the job. Aborting the signal cancels it. */
  async runJob(spec: JobSpec, options: JobOptions): Promise<JobReport> {
    const processes = await this.loaded();
    const controller = new AbortController();
    const abort = () => controller.abort();
    options.signal.addEventListener('abort', abort, { once: true });
    if (options.signal.aborted) controller.abort();
    this.jobs.add(controller);
    try {
      return await processes.runJob(spec, { ...options, signal: controller.signal });
    } finally {
      this.jobs.delete(controller);
      options.signal.removeEventListener('abort', abort);
    }
  }

  /** Ends the resident process, so that the next question starts one with the settings then in force. */
  async restart(): Promise<void> {
    await (await this.processes)?.stop();
  }

  /** Cancels the jobs and ends every process. Resolves when they are gone. */
  async close(): Promise<void> {
    this.closed = true;
    for (const controller of this.jobs) controller.abort();
    await this.restart();
  }

  dispose(): void {
    void this.close();
  }

  private loaded(): Promise<EngineProcesses> {
    if (this.closed) return Promise.reject(new LoomweightError('cancelled', 'The editor is closing.'));
    this.processes ??= this.load();
    return this.processes;
  }
}
