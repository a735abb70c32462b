import { Emitter } from '../../common/events';
import { LoomweightError } from '../errors';
import { EngineProcess } from './engineProcess';
import type { EngineProcessOptions } from './engineProcess';
import type { EngineMethod, EngineRequest, EngineResult } from './wire';

/** Crashes within the window after which the engine will not be restarted. */
const crashLimit = 4;
const crashWindowMs = 3 * 60_000;

/**
 * The engine process for quick requests: started by the first request, started again by the next one after a crash, given up
 * after 4 crashes in 3 minutes until `reset`.
 */
export class ResidentEngine {
  private running: Promise<EngineProcess> | undefined;
  private crashes: number[] = [];
  private readonly crashEmitter = new Emitter<string>();

  /** Fires with the reason each time the process ends without having been told to. */
  readonly onDidCrash = this.crashEmitter.event;

  constructor(
    private readonly options: () => EngineProcessOptions,
    private readonly now: () => number = Date.now,
  ) {}

  /** Calls a method. Abort frees the caller at once; the engine stops when it can. */
  async call<Method extends EngineMethod>(
    method: Method,
    request: EngineRequest<Method>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<EngineResult<Method>> {
    const engine = await this.engine();
    return engine.call(method, request, { ...options, detachOnAbort: true });
  }

  /** Process id while it runs, for tests and the log. */
  async pid(): Promise<number | undefined> {
    return (await this.running?.catch(() => undefined))?.pid;
  }

  /** Forgets past crashes, so that the next request starts the engine again. */
  reset(): void {
    this.crashes = [];
  }

  /** Ends the process. A later request starts a new one. */
  async stop(): Promise<void> {
    const running = this.running;
    this.running = undefined;
    await (await running?.catch(() => undefined))?.stop();
  }

  private async engine(): Promise<EngineProcess> {
    if (this.running) return this.running;
    const time = this.now();
    this.crashes = this.crashes.filter((crash) => time - crash < crashWindowMs);
    if (this.crashes.length >= crashLimit)
      throw new LoomweightError(
        'engine-crashed',
        `The engine crashed ${this.crashes.length} times in 3 minutes and will not be restarted. ` +
          'Check the Loomweight log, then reload the window.',
        { crashes: this.crashes.length },
      );
    const starting = EngineProcess.start(this.options());
    this.running = starting;
    try {
      const engine = await starting;
      void engine.exited.then((end) => {
        if (this.running !== starting) return; // Stopped on purpose.
        this.running = undefined;
        this.recordCrash(`The engine ended (${end.signal ?? `exit code ${end.exitCode}`}).`);
      });
      return engine;
    } catch (error) {
      if (this.running === starting) {
        this.running = undefined;
        this.recordCrash(error instanceof Error ? error.message : String(error));
      }
      throw error;
    }
  }

  private recordCrash(reason: string): void {
    this.crashes.push(this.now());
    this.crashEmitter.fire(reason);
  }
}
