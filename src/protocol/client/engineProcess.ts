import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { CancellationTokenSource, IPCMessageReader, IPCMessageWriter, createMessageConnection } from 'vscode-jsonrpc/node';
import type { MessageConnection } from 'vscode-jsonrpc/node';
import { Emitter } from '../../common/events';
import type { Event } from '../../common/events';
import type { EngineEvents, Handshake } from '../engine';
import { LoomweightError, cancelledError } from '../errors';
import { protocolVersion } from '../version';
import { eventType, fromWireError, requestType } from './wire';
import type { EngineMethod, EngineRequest, EngineResult } from './wire';

/** How to start an engine process. */
export interface EngineProcessOptions {
  /** Path of `dist/engine.js`. */
  readonly enginePath: string;
  /** Folder of another onnxruntime-node package (setting loomweight.runtime.path). */
  readonly runtimePath?: string;
  /** Lines that the process writes to stderr and stdout: native messages and stack traces. */
  readonly onOutput?: (line: string) => void;
  /** Run below the editor's priority. */
  readonly lowPriority?: boolean;
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Time for start and handshake. Default 30 s: a cold disk may be slow, but a user would not wait longer. */
  readonly startTimeoutMs?: number;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
}

/** Lines of output kept for the message of a crash. */
const keptLines = 40;
const defaultStartTimeoutMs = 30_000;

/**
 * One engine process and the typed channel to it. The process never outlives its channel, and holds this one open only while a
 * request is pending. The caller owns it and calls `stop`.
 */
export class EngineProcess {
  private readonly progressEmitter = new Emitter<EngineEvents['progress']>();
  private readonly outputEmitter = new Emitter<EngineEvents['output']>();
  private readonly logEmitter = new Emitter<EngineEvents['log']>();
  private readonly lastLines: string[] = [];
  private pending = 0;
  private stopping = false;
  private ended: ProcessEnd | undefined;

  readonly onProgress: Event<EngineEvents['progress']> = this.progressEmitter.event;
  readonly onLog: Event<EngineEvents['log']> = this.logEmitter.event;
  readonly onOutputPath: Event<EngineEvents['output']> = this.outputEmitter.event;
  /** Resolves when the process is gone, however it went. */
  readonly exited: Promise<ProcessEnd>;

  private constructor(
    private readonly child: ChildProcess,
    private readonly connection: MessageConnection,
    onOutput: ((line: string) => void) | undefined,
  ) {
    this.exited = new Promise((resolve) => {
      const finish = (end: ProcessEnd) => {
        this.ended ??= end;
        resolve(this.ended);
      };
      child.once('exit', (code, signal) => finish({ exitCode: code ?? undefined, signal: signal ?? undefined }));
      child.once('error', (error) => {
        this.keep(error.message);
        finish({ exitCode: undefined, signal: undefined });
      });
    });
    for (const stream of [child.stdout, child.stderr]) this.readLines(stream, onOutput);
    connection.onNotification(eventType('progress'), (progress) => this.progressEmitter.fire(progress));
    connection.onNotification(eventType('log'), (entry) => this.logEmitter.fire(entry));
    connection.onNotification(eventType('output'), (output) => this.outputEmitter.fire(output));
    connection.onError(([error]) => this.keep(error.message));
    connection.listen();
    child.unref();
    child.channel?.unref();
  }

  /**
   * Starts the process and performs the handshake. Errors: `protocol-mismatch` if the two sides have different versions,
   * `engine-crashed` where the process does not come up. In both cases no process is left.
   */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    const child = fork(options.enginePath, options.lowPriority ? ['--low-priority'] : [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ELECTRON_RUN_AS_NODE: '1',
        ...(options.runtimePath ? { LOOMWEIGHT_RUNTIME_PATH: options.runtimePath } : {}),
        ...options.env,
      },
    });
    const connection = createMessageConnection(new IPCMessageReader(child), new IPCMessageWriter(child));
    const engine = new EngineProcess(child, connection, options.onOutput);
    try {
      const answer = await engine.firstAnswer(options.startTimeoutMs ?? defaultStartTimeoutMs);
      if (answer.protocol !== protocolVersion)
        throw new LoomweightError(
          'protocol-mismatch',
          `The engine (${answer.engine}) uses protocol ${answer.protocol}, but this side uses ${protocolVersion}. ` +
            'Reinstall Loomweight and reload the window, so that both have the same version.',
          { expected: protocolVersion, actual: answer.protocol, enginePath: options.enginePath },
        );
      return engine;
    } catch (error) {
      await engine.kill();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  get isRunning(): boolean {
    return this.ended === undefined;
  }

  /**
   * Calls a method. Abort sends a cancel request and rejects with `cancelled` when the engine has answered it. A process that ends rejects with `engine-crashed`.
   */
  async call<Method extends EngineMethod>(
    method: Method,
    request: EngineRequest<Method>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<EngineResult<Method>> {
    const { signal } = options;
    if (signal?.aborted) throw cancelledError();
    if (this.ended) throw this.crashError(method, this.ended);
    const source = new CancellationTokenSource();
    const onAbort = (): void => source.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
    const crashed = this.exited.then((end): never => {
      throw this.stopping ? cancelledError() : this.crashError(method, end);
    });
    // The loser of the race still settles; its result is unused.
    crashed.catch(() => undefined);
    this.hold(1);
    try {
      const answer = this.connection.sendRequest(requestType(method), request, source.token);
      answer.catch(() => undefined);
      return await Promise.race([answer, crashed]);
    } catch (error) {
      const remote = fromWireError(error);
      if (remote) throw signal?.aborted ? cancelledError() : remote;
      if (error instanceof LoomweightError) throw error;
      // The channel broke: the process is ending, and its exit gives the reason.
      throw this.crashError(method, await this.endWithin(1000));
    } finally {
      this.hold(-1);
      signal?.removeEventListener('abort', onAbort);
      source.dispose();
    }
  }

  /** Closes the channel, upon which the process ends by itself; kills it after the grace time. Resolves when it is gone. */
  async stop(graceMs = 1000): Promise<void> {
    this.stopping = true;
    if (this.child.connected) this.child.disconnect();
    await this.endWithin(graceMs);
    await this.kill();
  }

  /** Ends the process at once and resolves when it is gone. */
  async kill(): Promise<void> {
    this.stopping = true;
    // Nothing else may keep our event loop alive until the process has exited.
    this.hold(1);
    if (!this.ended) this.child.kill('SIGKILL');
    await this.exited;
    this.hold(-1);
    this.connection.dispose();
  }

  private async firstAnswer(timeoutMs: number): Promise<Handshake> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(new LoomweightError('engine-crashed', `The engine process did not answer within ${timeoutMs / 1000} s.${this.tail()}`)),
        timeoutMs,
      );
    });
    try {
      return await Promise.race([this.call('handshake', { protocol: protocolVersion }), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async endWithin(milliseconds: number): Promise<ProcessEnd> {
    let timer: NodeJS.Timeout | undefined;
    const unknown = new Promise<ProcessEnd>((resolve) => {
      timer = setTimeout(() => resolve({ exitCode: undefined, signal: undefined }), milliseconds);
    });
    try {
      return await Promise.race([this.exited, unknown]);
    } finally {
      clearTimeout(timer);
    }
  }

  private crashError(method: EngineMethod, end: ProcessEnd): LoomweightError {
    const how =
      end.signal !== undefined
        ? `ended by signal ${end.signal}`
        : end.exitCode !== undefined
          ? `ended with exit code ${end.exitCode}`
          : 'lost its connection';
    const hint =
      end.signal === 'SIGKILL'
        ? ' It was killed by another process, possibly by the system for lack of memory.'
        : ' This is a bug in the engine.';
    return new LoomweightError(
      'engine-crashed',
      `The engine process ${how} during '${method}'.${hint} Run the command again. See the log for details.${this.tail()}`,
      { method, signal: end.signal, exitCode: end.exitCode, output: [...this.lastLines] },
    );
  }

  private tail(): string {
    const last = this.lastLines.at(-1);
    return last === undefined ? '' : ` Last output: ${last}`;
  }

  /** Keeps the parent's event loop alive exactly while a request is pending. */
  private hold(change: 1 | -1): void {
    this.pending += change;
    if (this.pending > 0) {
      this.child.ref();
      this.child.channel?.ref();
    } else {
      this.child.unref();
      this.child.channel?.unref();
    }
  }

  private readLines(stream: NodeJS.ReadableStream | null, onLine: ((line: string) => void) | undefined): void {
    if (!stream) return;
    (stream as NodeJS.ReadableStream & { unref?: () => void }).unref?.();
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = (lines.pop() ?? '').slice(-10_000);
      for (const line of lines) {
        this.keep(line);
        onLine?.(line);
      }
    });
    stream.on('end', () => {
      if (rest === '') return;
      this.keep(rest);
      onLine?.(rest);
    });
  }

  private keep(line: string): void {
    if (line.trim() === '') return;
    this.lastLines.push(line);
    if (this.lastLines.length > keptLines) this.lastLines.shift();
  }
}
