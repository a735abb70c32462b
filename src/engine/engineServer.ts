import type { CancellationToken, MessageConnection } from 'vscode-jsonrpc/node';
import { eventType, requestType, toWireError } from '../protocol/client/wire';
import type { EngineMethod, EngineRequest } from '../protocol/client/wire';
import type { EngineApi } from '../protocol/engine';
import { engineMethods } from '../protocol/engine';
import { LoomweightError } from '../protocol/errors';
import { protocolVersion } from '../protocol/version';
import type { CallContext } from './services/callContext';

/** An engine whose methods take the call's context beside the request. */
export type ServedEngine = {
  readonly [Method in EngineMethod]: (request: EngineRequest<Method>, context: CallContext) => ReturnType<EngineApi[Method]>;
};

/** The calls in progress on a connection. */
export interface ServerCalls {
  /** Cancels every call and resolves when all have ended. */
  cancelAll(): Promise<void>;
}

/** Answers the engine's methods on a connection. Cancel requests abort the call's signal; progress and log go back as events. */
export function serveEngine(engine: ServedEngine, connection: MessageConnection): ServerCalls {
  const running = new Map<AbortController, Promise<unknown>>();
  const emit: CallContext['emit'] = (name, value) => {
    // A closed channel takes no events; the process is about to end then.
    void connection.sendNotification(eventType(name), value).catch(() => undefined);
  };
  for (const method of engineMethods) {
    serveMethod(method, engine, connection, running, emit);
  }
  connection.listen();
  return {
    cancelAll: async () => {
      for (const controller of running.keys()) controller.abort();
      await Promise.allSettled(running.values());
    },
  };
}

function serveMethod<Method extends EngineMethod>(
  method: Method,
  engine: ServedEngine,
  connection: MessageConnection,
  running: Map<AbortController, Promise<unknown>>,
  emit: CallContext['emit'],
): void {
  connection.onRequest(requestType(method), async (request: EngineRequest<Method>, token: CancellationToken) => {
    const controller = new AbortController();
    token.onCancellationRequested(() => controller.abort());
    // A cancel that overtook its request leaves a token that fires no event any more.
    if (token.isCancellationRequested) controller.abort();
    try {
      if (method === 'handshake') refuseOtherVersion((request as EngineRequest<'handshake'>).protocol);
      const answer = engine[method](request, { signal: controller.signal, ...(emit ? { emit } : {}) });
      running.set(controller, answer);
      return await answer;
    } catch (error) {
      return toWireError(error);
    } finally {
      running.delete(controller);
    }
  });
}

function refuseOtherVersion(protocol: unknown): void {
  if (protocol === protocolVersion) return;
  throw new LoomweightError(
    'protocol-mismatch',
    `The engine uses protocol ${protocolVersion}, but its caller uses ${String(protocol)}. ` +
      'Reinstall Loomweight and reload the window, so that both have the same version.',
    { expected: protocolVersion, actual: protocol },
  );
}
