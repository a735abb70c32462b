import { cancelledError } from '../errors';
import type { EngineProcess } from './engineProcess';
import type { EngineMethod, EngineRequest, EngineResult } from './wire';

/** A question on its way. */
export interface AskedQuestion<Result> {
  /** Rejects at once with `cancelled` when the signal aborts, whatever the engine does. */
  readonly answer: Promise<Result>;
  /** True while the engine has answered neither this question nor all older ones. */
  isBehindAnother(): boolean;
}

/** An engine process and the questions that it has not answered. */
export class AnsweringProcess {
  /** Oldest first. A question that its caller gave up stays until the engine answers: its thread may still be busy with it. */
  private readonly open = new Map<object, number>();
  private callers = 0;

  /** `onUnused` is called whenever the last caller has its answer or has given up. */
  constructor(
    readonly process: EngineProcess,
    private readonly onUnused: (process: AnsweringProcess) => void,
  ) {}

  /** True if somebody waits for an answer. */
  get isUsed(): boolean {
    return this.callers > 0;
  }

  /** How long the oldest question has been open, in milliseconds; 0 if there is none. */
  get oldestMs(): number {
    const [oldest] = this.open.values();
    return oldest === undefined ? 0 : performance.now() - oldest;
  }

  /** Asks. `waitedMs`: for how long the question has been waiting already, in another process. Errors as `EngineProcess.call`. */
  ask<Method extends EngineMethod>(
    method: Method,
    request: EngineRequest<Method>,
    signal: AbortSignal,
    waitedMs: number,
  ): AskedQuestion<EngineResult<Method>> {
    const question = {};
    this.open.set(question, performance.now() - waitedMs);
    this.callers += 1;
    const settled = this.process.call(method, request, { signal }).finally(() => this.open.delete(question));
    const answer = orCancelled(settled, signal).finally(() => {
      this.callers -= 1;
      if (this.callers === 0) this.onUnused(this);
    });
    return { answer, isBehindAnother: () => this.open.has(question) && [...this.open.keys()][0] !== question };
  }
}

/** The promise's outcome, or `cancelled` as soon as the signal aborts. */
async function orCancelled<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let onAbort: (() => void) | undefined;
  const cancelled = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelledError());
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // The loser of the race still settles; its result is unused.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, cancelled]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}
