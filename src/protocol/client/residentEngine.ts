import { setTimeout as sleep } from 'node:timers/promises';
import { Emitter } from '../../common/events';
import { LoomweightError } from '../errors';
import { AnsweringProcess } from './answeringProcess';
import { EngineProcess } from './engineProcess';
import type { EngineProcessOptions } from './engineProcess';
import type { EngineMethod, EngineRequest, EngineResult } from './wire';

/** Crashes within the window after which the engine will not be restarted. */
const crashLimit = 4;
const crashWindowMs = 3 * 60_000;

/** How long a question waits behind an older one: after a second, people wonder. */
const defaultPatienceMs = 1000;

/** Processes that may be busy with slow questions beside the resident one: each may hold the headers of a model in memory. */
const mostBusy = 4;

/** A question that has been late once waits only this fraction of the time in the next process: others that were behind the same one may be slow too. */
const hurry = 5;

/** Clock and patience in milliseconds, for tests. */
export interface ResidentEngineSettings {
  /** The clock that crashes are counted by. Default `Date.now`. */
  readonly now?: () => number;
  /** How long a question waits behind an older one. Default 1000. */
  readonly patienceMs?: number;
}

/**
 * The engine process for quick requests: started by the first request, started again by the next one after a crash, given up after 4 crashes in 3 minutes until `reset`.
 * A question that has waited a second behind an older one is asked again in a new process, and given up in the old one: which is the resident one from then on; the old process ends with its last
 * question (decision 0023).
 */
export class ResidentEngine {
  private starting: Promise<AnsweringProcess> | undefined;
  private resident: AnsweringProcess | undefined;
  /** Processes that a slow question keeps to itself. */
  private readonly busy = new Set<AnsweringProcess>();
  private crashes: number[] = [];
  private readonly crashEmitter = new Emitter<string>();
  private readonly now: () => number;
  private readonly patienceMs: number;

  /** Fires with the reason each time a process ends without having been told to. */
  readonly onDidCrash = this.crashEmitter.event;

  constructor(
    private readonly options: () => EngineProcessOptions,
    { now = Date.now, patienceMs = defaultPatienceMs }: ResidentEngineSettings = {},
  ) {
    this.now = now;
    this.patienceMs = patienceMs;
  }

  /** Calls a method, which must be safe to call twice. Abort frees the caller at once; the engine stops when it can. */
  async call<Method extends EngineMethod>(
    method: Method,
    request: EngineRequest<Method>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<EngineResult<Method>> {
    for (let patience = this.patienceMs; ; patience = this.patienceMs / hurry) {
      const process = await this.answering();
      const over = new AbortController();
      const signal = options.signal ? AbortSignal.any([options.signal, over.signal]) : over.signal;
      try {
        const question = process.ask(method, request, signal, this.patienceMs - patience);
        const late = this.untilLate(() => question.isBehindAnother(), patience, over.signal);
        const outcome = await Promise.race([question.answer.then((result) => ({ result })), late]);
        if (outcome) return outcome.result;
        this.retire(process);
      } finally {
        over.abort();
      }
    }
  }

  /** Process id of the resident process while it runs, for tests and the log. */
  get pid(): number | undefined {
    return this.resident?.process.pid;
  }

  /** How many processes are kept by a slow question. */
  get busyProcesses(): number {
    return this.busy.size;
  }

  /** Forgets past crashes, so that the next request starts the engine again. */
  reset(): void {
    this.crashes = [];
  }

  /** Ends all processes. A later request starts a new one. */
  async stop(): Promise<void> {
    const starting = this.starting;
    const all = [...this.busy, this.resident];
    this.busy.clear();
    this.resident = undefined;
    this.starting = undefined;
    all.push(await starting?.catch(() => undefined));
    await Promise.all(all.map((each) => each?.process.stop()));
  }

  /** The resident process, another one if a question has kept the last one busy for longer than the next should wait. */
  private async answering(): Promise<AnsweringProcess> {
    const { resident } = this;
    // One that nobody waits for any more ends with its retirement.
    if (resident && resident.oldestMs >= this.patienceMs && (this.busy.size < mostBusy || !resident.isUsed)) this.retire(resident);
    return this.resident ?? this.starting ?? this.start();
  }

  /** Resolves after the patience is over, if the question still waits for another one then and there may be one more process. */
  private async untilLate(isBehindAnother: () => boolean, patience: number, over: AbortSignal): Promise<undefined> {
    do {
      const isOver = await sleep(patience, false, { signal: over, ref: false }).catch(() => true);
      if (isOver) return;
    } while (!isBehindAnother() || this.busy.size >= mostBusy);
  }

  /** Leaves a process to its slow question: the next one asked starts another. */
  private retire(process: AnsweringProcess): void {
    if (this.resident !== process) return;
    this.resident = undefined;
    this.busy.add(process);
    this.endIfUnused(process);
  }

  private endIfUnused(process: AnsweringProcess): void {
    if (process.isUsed || !this.busy.delete(process)) return;
    void process.process.stop();
  }

  private start(): Promise<AnsweringProcess> {
    const time = this.now();
    this.crashes = this.crashes.filter((crash) => time - crash < crashWindowMs);
    if (this.crashes.length >= crashLimit)
      throw new LoomweightError(
        'engine-crashed',
        `The engine crashed ${this.crashes.length} times in 3 minutes and will not be restarted. ` +
          'Check the Loomweight log, then reload the window.',
        { crashes: this.crashes.length },
      );
    const starting = EngineProcess.start(this.options()).then(
      (engine) => new AnsweringProcess(engine, (unused) => this.endIfUnused(unused)),
    );
    this.starting = starting;
    // Otherwise `stop` came first, and ends it.
    const isWanted = (): boolean => this.starting === starting;
    starting.then(
      (process) => {
        if (isWanted()) this.keep(process);
      },
      (error: unknown) => {
        if (!isWanted()) return;
        this.starting = undefined;
        this.recordCrash(error instanceof Error ? error.message : String(error));
      },
    );
    return starting;
  }

  private keep(process: AnsweringProcess): void {
    this.starting = undefined;
    this.resident = process;
    void process.process.exited.then((end) => {
      const wasBusy = this.busy.delete(process);
      const wasResident = this.resident === process;
      if (wasResident) this.resident = undefined;
      // Else it was stopped on purpose.
      if (wasBusy || wasResident) this.recordCrash(`The engine ended (${end.signal ?? `exit code ${end.exitCode}`}).`);
    });
  }

  private recordCrash(reason: string): void {
    this.crashes.push(this.now());
    this.crashEmitter.fire(reason);
  }
}
