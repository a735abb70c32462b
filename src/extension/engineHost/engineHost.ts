import type { Disposable } from '../../common/disposables';
import type { EngineApi } from '../../protocol/engine';
import { LoomweightError } from '../../protocol/errors';

export type EngineMethod = keyof EngineApi;
export type EngineRequest<Method extends EngineMethod> = Parameters<EngineApi[Method]>[0];
export type EngineResult<Method extends EngineMethod> = Awaited<ReturnType<EngineApi[Method]>>;

/** The resident process behind the editor: a port, so that the editor's own parts can be tested without one. */
export interface EngineProcesses {
  /** Asks the resident process, which the first question starts. */
  call<Method extends EngineMethod>(method: Method, request: EngineRequest<Method>, signal?: AbortSignal): Promise<EngineResult<Method>>;
  /** Ends the resident process; the next question starts one. Resolves when it is gone. */
  stop(): Promise<void>;
}

/** Owns the resident engine process, started with the first question. Jobs have processes of their own, which belong to no window (`RunStore`). */
export class EngineHost implements Disposable {
  private processes: Promise<EngineProcesses> | undefined;
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

  /** Ends the resident process, so that the next question starts one with the settings then in force. */
  async restart(): Promise<void> {
    await (await this.processes)?.stop();
  }

  /** Ends the resident process. Resolves when it is gone. */
  async close(): Promise<void> {
    this.closed = true;
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
